//! Whom a socket hears: the peer that signalling named, and nobody else.
//!
//! A peer behind a translator of addresses cannot know the address that its packets will come from, and the translator may
//! change it within a call. Where that is allowed for, somebody else is believed to be the peer by what they send: a
//! stream of their own while nothing was heard of the peer yet, the peer's own stream going on once it was; and where
//! packets are sealed, one that opens. Never while the peer itself speaks: who races it is not it. Everybody else is
//! a stranger: never heard, never answered. Pure; told when and where each datagram came from.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use crate::rtp::seq::SeqNo;

/// Packets in a row from another address until it is taken for the peer's: a tenth of a second of sound, so that
/// a stray packet turns nothing.
const PACKETS_TO_BELIEVE: u32 = 5;

/// A peer that was heard within this time is where it was. Longer than ten packets of 20 ms stay away by jitter, and
/// short enough that one that moved is found again within a third of a second.
const SILENT: Duration = Duration::from_millis(200);

/// Packets of a stream come at most this often: how far its numbers can have gone in a silence.
const SHORTEST_PACKET_MS: u128 = 5;

/// Missing packets in a row that a stream may have within the trial.
const MISSING_MAX: i16 = 50;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the peer's.
    Heard,
    /// It is the peer's, who is found to be there from now on.
    Moved,
    /// It is not the peer's: never heard, never answered.
    Stranger,
}

/// What a packet says of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) ssrc: u32,
    pub(super) seq: SeqNo,
}

/// A datagram, as far as it can be judged without being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// As nothing that is expected here.
    Odd,
    /// As RTP.
    Rtp(Of),
    /// As RTCP.
    Rtcp,
}

/// The rule of one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    peer: SocketAddr,
    /// Whether the peer may turn out to be elsewhere.
    may_move: bool,
    /// Only RTCP comes here, which is rare: one packet is enough, from where RTP comes.
    is_beside: bool,
    /// Of whom it is known where it must be.
    only_from: Option<IpAddr>,
    /// The peer is found: who is to be taken for it must go on with its stream.
    is_found: bool,
    /// Somebody elsewhere has begun a handshake.
    is_shaken: bool,
    /// Packets of the peer while it is not found.
    heard: u32,
    /// What was heard of it last, and when.
    last: Option<(Instant, Looks)>,
    trial: Option<Trial>,
}

/// Somebody who may be the peer.
#[derive(Clone, Copy, Debug)]
struct Trial {
    from: SocketAddr,
    of: Option<Of>,
    row: u32,
}

impl Gate {
    /// Hears `peer` alone; when it `may_move`, also whoever shows to be the peer instead.
    pub(super) fn new(peer: SocketAddr, may_move: bool) -> Self {
        Self {
            peer: canonical(peer),
            may_move,
            is_beside: false,
            only_from: None,
            is_found: !may_move,
            is_shaken: false,
            heard: 0,
            last: None,
            trial: None,
        }
    }

    /// For RTCP beside RTP.
    pub(super) fn beside(peer: SocketAddr, may_move: bool) -> Self {
        Self { is_beside: true, only_from: Some(canonical(peer).ip()), ..Self::new(peer, may_move) }
    }

    /// Where the peer is.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// RTP was found to come from `ip`, perhaps by another way than before.
    pub(super) fn expect_from(&mut self, ip: IpAddr) {
        if self.is_beside && self.may_move {
            self.peer.set_ip(ip);
            (self.only_from, self.is_found, self.heard, self.last, self.trial) = (Some(ip), false, 0, None, None);
        }
    }

    /// The peer itself has shown that it is at `from`.
    pub(super) fn find(&mut self, from: SocketAddr) {
        let from = canonical(from);
        if !is_same(from, self.peer) {
            (self.peer, self.last) = (from, None);
        }
        (self.only_from, self.is_found, self.trial) = (self.only_from.map(|_| from.ip()), true, None);
    }

    /// Judges a datagram of a handshake, which comes before everything else: of a peer that may be elsewhere, the first who
    /// begins one is taken for it, until something that opens comes from another place. It may have another port than it
    /// says, and another address only where it says one that is behind a translator: everybody else would be a stranger
    /// who keeps it from calling. What it proves is the handshake's matter.
    pub(super) fn judge_handshake(&mut self, from: SocketAddr) -> Verdict {
        let from = canonical(from);
        if is_same(from, self.peer) {
            return Verdict::Heard;
        }
        let may_be = from.ip() == self.peer.ip() || is_behind_translator(self.peer.ip());
        if !self.may_move || !may_be || self.is_found || self.is_shaken || self.last.is_some() {
            return Verdict::Stranger;
        }
        (self.peer, self.is_shaken) = (from, true);
        Verdict::Moved
    }

    /// Signalling has said again where the peer is, and it may have begun a new stream: it is looked for anew, without
    /// being forgotten meanwhile.
    pub(super) fn reopen(&mut self) {
        (self.is_found, self.heard, self.trial) = (!self.may_move, 0, None);
    }

    /// Judges a datagram that came from `from` at `at` and looks so. `opens` says whether it opens, where packets are
    /// sealed; it is asked only when that decides.
    pub(super) fn judge(
        &mut self,
        at: Instant,
        from: SocketAddr,
        looks: Looks,
        opens: &mut dyn FnMut() -> Option<bool>,
    ) -> Verdict {
        let from = canonical(from);
        if is_same(from, self.peer) {
            if self.is_expected(looks) {
                self.last = Some((at, looks));
                self.trial = None;
                self.heard += u32::from(!self.is_found);
                self.is_found |= self.heard >= self.needed();
            }
            return Verdict::Heard;
        }
        if !self.may_be(at, from, looks) {
            return Verdict::Stranger;
        }
        match opens() {
            Some(true) => {}
            Some(false) => return Verdict::Stranger,
            None if self.row(from, looks) < self.needed() => return Verdict::Stranger,
            None => {}
        }
        (self.peer, self.is_found, self.last, self.trial) = (from, true, Some((at, looks)), None);
        Verdict::Moved
    }

    fn needed(&self) -> u32 {
        if self.is_beside { 1 } else { PACKETS_TO_BELIEVE }
    }

    fn is_expected(&self, looks: Looks) -> bool {
        match looks {
            Looks::Odd => false,
            Looks::Rtp(_) => !self.is_beside,
            Looks::Rtcp => self.is_beside,
        }
    }

    /// Whether a packet from elsewhere can be the peer's.
    fn may_be(&self, at: Instant, from: SocketAddr, looks: Looks) -> bool {
        if !self.may_move || !self.is_expected(looks) || self.only_from.is_some_and(|ip| ip != from.ip()) {
            return false;
        }
        let Some((last_at, last)) = self.last else { return !self.is_found };
        let silent = at.saturating_duration_since(last_at);
        if silent < SILENT || (self.is_beside && self.is_found) {
            return false;
        }
        match (self.is_found, last, looks) {
            (true, Looks::Rtp(last), Looks::Rtp(of)) => {
                let most = i16::try_from(silent.as_millis() / SHORTEST_PACKET_MS).unwrap_or(i16::MAX);
                of.ssrc == last.ssrc && (1..=most).contains(&of.seq.since(last.seq))
            }
            _ => !self.is_found,
        }
    }

    /// How many packets of one stream came from `from` in a row, this one included.
    fn row(&mut self, from: SocketAddr, looks: Looks) -> u32 {
        let of = if let Looks::Rtp(of) = looks { Some(of) } else { None };
        let goes_on = |before: Option<Of>| match (before, of) {
            (Some(before), Some(of)) => of.ssrc == before.ssrc && (1..=MISSING_MAX).contains(&of.seq.since(before.seq)),
            (before, of) => before == of,
        };
        let row = match self.trial {
            Some(trial) if is_same(trial.from, from) && goes_on(trial.of) => trial.row + 1,
            _ => 1,
        };
        self.trial = Some(Trial { from, of, row });
        row
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    address.set_ip(address.ip().to_canonical());
    address
}

/// Whether nobody out there has this address, since it means something only behind a translator of addresses: who says to be
/// there comes from another.
pub fn is_behind_translator(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // Also those that carriers give out (RFC 6598).
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    (a.ip(), a.port()) == (b.ip(), b.port())
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};

    const PEER: &str = "192.0.2.1:4000";
    const OTHER: &str = "198.51.100.9:6000";
    const THIRD: &str = "203.0.113.5:1";

    /// A gate with streams that are sent to it, a packet each 20 ms.
    struct Bench {
        gate: Gate,
        zero: Instant,
        ms: u64,
    }

    impl Bench {
        #[expect(clippy::disallowed_methods, reason = "virtual time needs one instant to count from")]
        fn new(gate: Gate) -> Self {
            Self { gate, zero: Instant::now(), ms: 0 }
        }

        fn one(&mut self, from: &str, looks: Looks, opens: Option<bool>) -> Verdict {
            let at = self.zero + Duration::from_millis(self.ms);
            self.gate.judge(at, from.parse().unwrap(), looks, &mut || opens)
        }

        /// Packets of a stream from `seq` on.
        fn stream(&mut self, from: &str, ssrc: u32, seq: u16, packets: u16) -> Vec<Verdict> {
            let verdict = |n: u16| {
                let looks = Looks::Rtp(Of { ssrc, seq: SeqNo(seq.wrapping_add(n)) });
                let verdict = self.one(from, looks, None);
                self.ms += 20;
                verdict
            };
            (0..packets).map(verdict).collect()
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn bench(may_move: bool) -> Bench {
        Bench::new(Gate::new(at(PEER), may_move))
    }

    #[test]
    fn without_latching_only_the_signalled_address_is_heard() {
        let mut bench = bench(false);
        assert_eq!(bench.stream(OTHER, 7, 0, 50), [Stranger; 50]);
        assert_eq!(bench.stream("192.0.2.1:4001", 7, 50, 20), [Stranger; 20], "another port is another sender");
        assert_eq!(bench.stream(PEER, 7, 0, 1), [Heard]);
        assert_eq!(bench.stream("[::ffff:192.0.2.1]:4000", 7, 1, 1), [Heard], "the same, seen by a socket of IPv6");
        bench.ms += 5_000;
        assert_eq!(bench.stream(OTHER, 7, 2, 50), [Stranger; 50], "not even its own stream");
    }

    #[test]
    fn a_peer_behind_a_translator_is_found_once() {
        let mut bench = bench(true);
        assert_eq!(bench.stream(OTHER, 7, 65_533, 6), [Stranger, Stranger, Stranger, Stranger, Moved, Heard]);
        assert_eq!(bench.gate.peer(), at(OTHER));
        assert_eq!(bench.stream(THIRD, 8, 1, 100), [Stranger; 100]);
        assert_eq!(bench.stream(PEER, 9, 1, 100), [Stranger; 100], "the signalled address was wrong");
    }

    #[test]
    fn a_peer_that_speaks_from_where_it_said_is_the_peer() {
        let mut bench = bench(true);
        assert_eq!(bench.stream(PEER, 7, 0, 5), [Heard; 5]);
        assert_eq!(bench.stream(OTHER, 8, 0, 100), [Stranger; 100]);
    }

    #[test]
    fn noise_and_two_who_take_turns_are_not_taken_for_the_peer() {
        let mut bench = bench(true);
        assert!((0..100).all(|_| bench.one(OTHER, Looks::Odd, None) == Stranger));
        assert!((0..100).all(|_| bench.one(OTHER, Looks::Rtcp, None) == Stranger));
        for turn in 0..100 {
            let (from, ssrc) = if turn % 2 == 0 { (OTHER, 1) } else { (THIRD, 2) };
            assert_eq!(bench.stream(from, ssrc, turn, 1), [Stranger]);
        }
        for turn in 0..100_u16 {
            assert_eq!(bench.stream(OTHER, u32::from(turn), turn, 1), [Stranger], "no stream, but packets");
        }
    }

    #[test]
    fn who_races_the_peer_before_it_is_found_does_not_win() {
        let mut bench = bench(true);
        for round in 0..4 {
            assert_eq!(bench.stream(PEER, 7, round, 1), [Heard]);
            let flood = (0..50).map(|n| Looks::Rtp(Of { ssrc: 66, seq: SeqNo(round * 50 + n) }));
            assert!(flood.map(|looks| bench.one(OTHER, looks, None)).all(|verdict| verdict == Stranger));
        }
    }

    #[test]
    fn a_stream_that_goes_on_from_another_port_is_followed_within_a_second() {
        let mut bench = bench(true);
        bench.stream(PEER, 7, 65_500, 50);
        let moved_at = bench.ms;
        let verdicts = bench.stream("192.0.2.1:50123", 7, 14, 40);
        let found = verdicts.iter().position(|verdict| *verdict == Moved).unwrap();
        assert!(verdicts[found + 1..].iter().all(|verdict| *verdict == Heard));
        let after_ms = found as u64 * 20;
        assert!((180..=400).contains(&after_ms), "found after {after_ms} ms, at {moved_at}");
        assert_eq!(bench.stream(PEER, 7, 60, 5), [Stranger; 5], "and the old place is nobody's");
    }

    #[test]
    fn nobody_takes_the_place_of_a_peer_that_speaks() {
        let mut bench = bench(true);
        bench.stream(PEER, 7, 0, 50);
        for packet in 50..300 {
            assert_eq!(bench.stream(PEER, 7, packet, 1), [Heard]);
            let copy = Looks::Rtp(Of { ssrc: 7, seq: SeqNo(packet + 1) });
            assert_eq!(bench.one(OTHER, copy, None), Stranger, "who sees the stream and copies it");
            assert_eq!(bench.one(OTHER, copy, Some(true)), Stranger, "even where it opens");
        }
    }

    #[test]
    fn in_a_silence_only_the_same_stream_in_its_own_numbers_goes_on() {
        let strangers = [("another source", 8, 50), ("numbers from before", 7, 39), ("numbers far ahead", 7, 20_000)];
        for (what, ssrc, seq) in strangers {
            let mut bench = bench(true);
            bench.stream(PEER, 7, 0, 50);
            bench.ms += 2_000;
            assert_eq!(bench.stream(OTHER, ssrc, seq, 10), [Stranger; 10], "{what}");
            assert_eq!(bench.stream(PEER, 7, 150, 1), [Heard]);
        }
    }

    #[test]
    fn where_packets_are_sealed_one_that_opens_is_believed_and_none_that_does_not() {
        let mut bench = bench(true);
        let packet = |seq| Looks::Rtp(Of { ssrc: 7, seq: SeqNo(seq) });
        assert!((0..100).all(|seq| bench.one(THIRD, packet(seq), Some(false)) == Stranger));
        assert_eq!(bench.one(OTHER, packet(0), Some(true)), Moved);
        bench.ms += 100;
        assert_eq!(bench.one(THIRD, packet(1), Some(true)), Stranger, "the peer spoke a moment ago");
        bench.ms += 150;
        assert!((2..40).all(|seq| bench.one(PEER, packet(seq), Some(false)) == Stranger));
        assert_eq!(bench.one(THIRD, packet(9), Some(true)), Moved);
    }

    #[test]
    fn said_again_the_peer_is_looked_for_anew_and_heard_meanwhile() {
        let mut bench = bench(true);
        bench.stream(OTHER, 7, 0, 50);
        bench.gate.reopen();
        assert_eq!(bench.stream(OTHER, 7, 50, 2), [Heard; 2]);
        bench.ms += 300;
        let verdicts = bench.stream(THIRD, 99, 5_000, 6);
        assert_eq!(verdicts, [Stranger, Stranger, Stranger, Stranger, Moved, Heard], "a new stream from a new place");
    }

    #[test]
    fn the_first_who_begins_a_handshake_from_where_the_peer_can_be_is_listened_to_and_nobody_after_it() {
        for said in ["10.0.0.7:4000", "100.64.0.7:4000", "169.254.0.7:4000", "[fd00::7]:4000", "[fe80::7]:4000"] {
            let mut bench = Bench::new(Gate::new(at(said), true));
            let mut shake = |from: &str| bench.gate.judge_handshake(at(from));
            assert_eq!(
                [shake(said), shake(OTHER), shake(OTHER), shake(THIRD), shake(said)],
                [Heard, Moved, Heard, Stranger, Stranger]
            );
            let packet = Looks::Rtp(Of { ssrc: 7, seq: SeqNo(1) });
            assert_eq!(bench.one(THIRD, packet, Some(true)), Moved, "but who has the keys is it");
        }
        // Who says to be where everybody can see it has that address, if not that port.
        let mut bench = bench(true);
        let mut shake = |from: &str| bench.gate.judge_handshake(at(from));
        let verdicts = [shake(OTHER), shake("192.0.2.1:50123"), shake(PEER), shake("192.0.2.1:50123")];
        assert_eq!(verdicts, [Stranger, Moved, Stranger, Heard]);
        let mut bench = Bench::new(Gate::new(at(PEER), false));
        assert_eq!(bench.gate.judge_handshake(at(OTHER)), Stranger);
    }

    #[test]
    fn reports_beside_are_found_only_where_sound_comes_from() {
        let mut bench = Bench::new(Gate::beside(at("192.0.2.1:4001"), true));
        let reports = |from: &str, bench: &mut Bench| [0; 3].map(|_| bench.one(from, Looks::Rtcp, None));
        assert_eq!(reports(OTHER, &mut bench), [Stranger; 3]);
        bench.gate.expect_from(at(OTHER).ip());
        assert_eq!(reports("198.51.100.9:6001", &mut bench), [Moved, Heard, Heard]);
        assert_eq!(reports("198.51.100.9:6002", &mut bench), [Stranger; 3]);
        bench.gate.expect_from(at(OTHER).ip());
        assert_eq!(reports("198.51.100.9:6002", &mut bench), [Moved, Heard, Heard], "sound has moved to another port");
    }
}
