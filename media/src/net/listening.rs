//! What becomes of the datagrams of one line: checks answered, handshakes passed on, strangers dropped, the rest pushed.
//!
//! Runs on the receiving thread, which owns one for each line. Told the time with each datagram; sends nothing but the
//! answers to checks, and allocates nothing but what control hands over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{
    Remote, Wiring,
    gate::{Gate, Looks, Of, Verdict},
    ice::{ANSWER_BYTES, Answered, Lite, is_stun},
};
use crate::{
    ring::{
        bell::Bell,
        packets::{LONGEST_BYTES, PacketWriter},
    },
    rtp::{
        packet::{FIXED_HEADER_BYTES, header_length, is_rtcp},
        seq::SeqNo,
        srtp::Opener,
    },
};

/// What control tells of the far end of a line.
pub(super) enum Wish {
    TalkTo(Remote),
    Hear(PacketWriter),
    Believe(Option<Box<Opener>>),
    Answer(Box<Lite>),
    Shake(Box<Shaking>),
}

/// What takes the datagrams of a handshake.
pub(super) struct Shaking {
    packets: PacketWriter,
    /// Rung for each, and when it is known where the peer is.
    bell: Bell,
    /// What came while nobody had said yet where the peer is.
    early: Early,
}

/// The last datagram of a handshake from somebody of whom is not known yet whether it is the peer: its first words may
/// overtake the answer that names it.
struct Early {
    from: Option<(Instant, SocketAddr)>,
    length: usize,
    datagram: [u8; LONGEST_BYTES],
}

impl Shaking {
    pub(super) fn new(packets: PacketWriter, bell: Bell) -> Self {
        Self { packets, bell, early: Early { from: None, length: 0, datagram: [0; LONGEST_BYTES] } }
    }

    /// Keeps a datagram until it is known who the peer is.
    fn keep(&mut self, at: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(place) = self.early.datagram.get_mut(..datagram.len()) else { return };
        place.copy_from_slice(datagram);
        (self.early.from, self.early.length) = (Some((at, from)), datagram.len());
    }
}

/// One line as the thread knows it.
pub(super) struct Listening {
    pub(super) wiring: Arc<Wiring>,
    /// For RTP and for RTCP beside it; `None` while nobody said where the peer is.
    gates: Option<[Gate; 2]>,
    /// What was said of the peer last.
    said: Option<Remote>,
    packets: Option<PacketWriter>,
    /// Opens what a peer that is found elsewhere must have sealed.
    opener: Option<Box<Opener>>,
    /// Answers checks.
    lite: Option<Box<Lite>>,
    /// Takes what belongs to a handshake.
    shaking: Option<Box<Shaking>>,
    /// Where the far end chose to be, for RTP and for RTCP beside it, before the answer that names it had come.
    chosen: [Option<SocketAddr>; 2],
}

impl Listening {
    /// Nobody said yet where the peer is.
    pub(super) fn new(wiring: Arc<Wiring>) -> Self {
        Self {
            wiring,
            gates: None,
            said: None,
            packets: None,
            opener: None,
            lite: None,
            shaking: None,
            chosen: [None; 2],
        }
    }

    /// Does what control told of the peer.
    pub(super) fn obey(&mut self, wish: Wish) {
        match wish {
            Wish::TalkTo(remote) => self.talk_to(remote),
            Wish::Hear(packets) => self.packets = Some(packets),
            Wish::Believe(opener) => self.opener = opener,
            Wish::Answer(lite) => self.lite = Some(lite),
            Wish::Shake(mut shaking) => {
                if self.gates.is_some() {
                    shaking.bell.ring();
                }
                self.shaking = Some(shaking);
            }
        }
    }

    fn talk_to(&mut self, remote: Remote) {
        if let (Some(gates), true) = (&mut self.gates, self.said == Some(remote)) {
            return gates.iter_mut().for_each(Gate::reopen);
        }
        self.said = Some(remote);
        let rtcp = remote.rtcp.unwrap_or_else(|| SocketAddr::new(remote.rtp.ip(), remote.rtp.port().saturating_add(1)));
        self.gates = Some([Gate::new(remote.rtp, remote.latch), Gate::beside(rtcp, remote.latch)]);
        self.wiring.is_muxed.store(remote.rtcp == Some(remote.rtp), Relaxed);
        self.wiring.rtp_to.store(Some(remote.rtp));
        self.wiring.rtcp_to.store(Some(rtcp));
        // A choice that was made before the answer goes with whichever answer comes first: it does not say whose it is.
        let [rtp, rtcp] = std::mem::take(&mut self.chosen);
        for (chosen, is_rtcp_socket) in [(rtp, false), (rtcp, true)] {
            if let Some(from) = chosen {
                self.found(from, is_rtcp_socket);
            }
        }
        self.begin();
    }

    /// It is known where the peer is: a handshake may begin, with what came before.
    fn begin(&mut self) {
        let (Some(shaking), Some([rtp, _])) = (&mut self.shaking, &mut self.gates) else { return };
        if let Some((at, from)) = shaking.early.from.take() {
            let verdict = rtp.judge_handshake(from);
            if verdict == Verdict::Moved {
                self.wiring.rtp_to.store(Some(rtp.peer()));
            }
            let count = match verdict {
                Verdict::Stranger => &self.wiring.strangers,
                _ if shaking.packets.push(at, &shaking.early.datagram[..shaking.early.length]).is_ok() => {
                    &self.wiring.heard
                }
                _ => &self.wiring.overflowed,
            };
            count.fetch_add(1, Relaxed);
        }
        shaking.bell.ring();
    }

    /// The far end chose to be at `from`.
    fn found(&mut self, from: SocketAddr, is_rtcp_socket: bool) {
        let Some([rtp, rtcp]) = &mut self.gates else {
            self.chosen[usize::from(is_rtcp_socket)] = Some(from);
            return;
        };
        match is_rtcp_socket {
            true => {
                rtcp.find(from);
                self.wiring.rtcp_to.store(Some(rtcp.peer()));
            }
            false => {
                rtp.find(from);
                self.wiring.rtp_to.store(Some(rtp.peer()));
                if let Some(shaking) = &mut self.shaking {
                    shaking.bell.ring();
                }
            }
        }
    }

    /// Takes a datagram that came `at`.
    pub(super) fn take(&mut self, at: Instant, from: SocketAddr, is_rtcp_socket: bool, datagram: &[u8]) {
        let wiring = &*self.wiring;
        let count = |count: &AtomicU64| {
            count.fetch_add(1, Relaxed);
        };
        if let Some(lite) = self.lite.as_mut().filter(|_| is_stun(datagram)) {
            let answered = answer_check(lite, wiring, from, is_rtcp_socket, datagram);
            return match answered {
                Some(true) => self.found(from, is_rtcp_socket),
                Some(false) => {}
                None => count(&wiring.strangers),
            };
        }
        // Told from RTP by its first byte (RFC 7983).
        let is_handshake = !is_rtcp_socket && matches!(datagram, [20..=63, ..]);
        let Some([rtp, rtcp]) = &mut self.gates else {
            match self.shaking.as_mut().filter(|_| is_handshake) {
                Some(shaking) => shaking.keep(at, from, datagram),
                None => count(&wiring.unheard),
            }
            return;
        };
        if let Some(shaking) = self.shaking.as_mut().filter(|_| is_handshake) {
            match rtp.judge_handshake(from) {
                Verdict::Stranger => return count(&wiring.strangers),
                Verdict::Heard => {}
                Verdict::Moved => wiring.rtp_to.store(Some(rtp.peer())),
            }
            let pushed = shaking.packets.push(at, datagram);
            shaking.bell.ring();
            return count(if pushed.is_ok() { &wiring.heard } else { &wiring.overflowed });
        }
        let looks = looks(datagram);
        let opener = &mut self.opener;
        let mut opens = || opener.as_mut().map(|opener| opens(opener, datagram));
        let verdict = match is_rtcp_socket {
            true => rtcp.judge(at, from, looks, &mut opens),
            false => rtp.judge(at, from, looks, &mut opens),
        };
        match verdict {
            Verdict::Heard => {
                if let (Some(opener), Looks::Rtp(_)) = (opener, looks) {
                    opener.follow(datagram);
                }
            }
            Verdict::Stranger => return count(&wiring.strangers),
            Verdict::Moved if is_rtcp_socket => wiring.rtcp_to.store(Some(rtcp.peer())),
            Verdict::Moved => {
                wiring.rtp_to.store(Some(rtp.peer()));
                rtcp.expect_from(rtp.peer().ip());
                wiring.rtcp_to.store(Some(rtcp.peer()));
            }
        }
        let Some(packets) = &mut self.packets else { return count(&wiring.unheard) };
        match packets.push(at, datagram) {
            Ok(()) => count(&wiring.heard),
            Err(_) => count(&wiring.overflowed),
        }
    }
}

/// Answers a check; whether the far end chose this way by it, or nothing where it is none.
fn answer_check(
    lite: &mut Lite,
    wiring: &Wiring,
    from: SocketAddr,
    is_rtcp_socket: bool,
    datagram: &[u8],
) -> Option<bool> {
    let mut out = [0; ANSWER_BYTES];
    let Answered { length, is_chosen } = lite.answer(datagram, from, &mut out)?;
    let socket = wiring.rtcp.as_ref().filter(|_| is_rtcp_socket).unwrap_or(&wiring.rtp);
    if socket.send_to(&out[..length], from).is_err() {
        // It asks again.
        wiring.unsent.fetch_add(1, Relaxed);
    }
    Some(is_chosen)
}

/// Whether a datagram opens, which is left as it is.
fn opens(opener: &mut Opener, datagram: &[u8]) -> bool {
    let mut copy = [0; LONGEST_BYTES + 1];
    let copy = &mut copy[..datagram.len()];
    copy.copy_from_slice(datagram);
    match is_rtcp(datagram) {
        true => opener.open_rtcp(copy).is_ok(),
        false => opener.open_rtp(copy).is_ok(),
    }
}

fn looks(datagram: &[u8]) -> Looks {
    if is_rtcp(datagram) {
        return Looks::Rtcp;
    }
    let is_rtp = datagram.len() >= FIXED_HEADER_BYTES && header_length(datagram).is_ok();
    let [_, _, high, low, _, _, _, _, a, b, c, d, ..] = *datagram else { return Looks::Odd };
    match is_rtp {
        true => Looks::Rtp(Of { ssrc: u32::from_be_bytes([a, b, c, d]), seq: SeqNo(u16::from_be_bytes([high, low])) }),
        false => Looks::Odd,
    }
}
