//! What protects the sound of one call: keys out of the descriptions, or by a handshake on the port of the sound itself.
//!
//! [`Sealing`] follows what was agreed on and makes sealers and openers for the nodes of each room that the call enters;
//! they go on with each other's numbers. A handshake (DTLS-SRTP) is a task of its own: the shell around the pure
//! [`Handshake`], fed by the receiving thread with the datagrams of whom that takes for the peer, 16 at a time, beyond
//! which they are lost and said again. Until it has ended there are no keys, and nothing is sent or heard without.
//! It ends with the call, or when another begins.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{
    net::{self, Sender},
    ring::{
        bell::{Doorbell, bell},
        packets::{LONGEST_BYTES, PacketReader, packets},
    },
    rtp::srtp::{MasterKey, Opener, Profile, Rollover, Sealer},
    webrtc::handshake::{BadHandshake, Certificate, Handshake, Shaken},
};
use sip::sdp::{Agreed, Protection};
use tokio::{
    sync::oneshot,
    time::{sleep_until, timeout},
};

/// Datagrams of a handshake that wait for its task: two flights of the longest.
const DATAGRAMS: usize = 16;

/// How long the far end's checks are waited for before we speak to where it says to be.
const CHECKED_WITHIN: Duration = Duration::from_millis(500);

/// Timers are no finer than this.
const FINEST: Duration = Duration::from_millis(5);

/// Keys whose numbers are remembered. A call has two, and two more with each far end that takes it over; of a far end that
/// names others again and again, those that were used longest ago are forgotten.
const KEYS: usize = 32;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoKeys {
    /// The far end, or the network.
    #[error(transparent)]
    Handshake(#[from] BadHandshake),
    /// Too many calls for the limits of this machine.
    #[error("no handshake can begin: {0}")]
    Bell(#[from] io::Error),
    /// The sockets are gone, or the task is.
    #[error("the handshake was given up")]
    Over,
}

impl NoKeys {
    /// Whether nobody answered, so that somebody may another time.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(self, Self::Handshake(BadHandshake::TimedOut))
    }

    /// The value of the Reason header that says it (RFC 3326).
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Handshake(BadHandshake::Mismatch) => {
                "SIP;cause=488;text=\"DTLS: the certificate is not the one of the fingerprint\""
            }
            Self::Handshake(BadHandshake::TimedOut) => "SIP;cause=488;text=\"DTLS: the handshake was not answered\"",
            Self::Handshake(_) => "SIP;cause=488;text=\"DTLS: the handshake failed\"",
            Self::Bell(_) | Self::Over => "SIP;cause=500;text=\"DTLS: no handshake can be made\"",
        }
    }
}

/// The protection of one call's sound.
pub(crate) struct Sealing {
    certificate: Certificate,
    /// What was agreed on last.
    agreed: Protection,
    /// Whose handshake it is, where it is one.
    place: Place,
    /// The keys that are in use.
    keys: Option<Shaken>,
    /// The handshake that new ones are waited for from.
    shaking: Option<oneshot::Receiver<Result<Shaken, NoKeys>>>,
    /// It has failed: there will be none.
    has_failed: bool,
    /// Where datagrams of a handshake come that is offered and not answered yet.
    prepared: Option<Ends>,
    /// Those used last behind the others.
    numbers: Vec<Numbers>,
    version: u64,
}

/// Where the far end of a handshake is: by it those ends are told apart that give their associations no names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    rtp: Option<SocketAddr>,
    ufrag: Option<String>,
}

impl Place {
    fn of(agreed: &Agreed) -> Self {
        let ufrag = agreed.ice.as_ref().map(|ice| ice.credentials.ufrag.clone());
        Self { rtp: agreed.destination.rtp, ufrag }
    }

    /// Whether somebody who was there is where `now` says; who is held by an address that is none has not moved.
    fn is_still(&self, now: &Self) -> bool {
        (now.rtp.is_none() || self.rtp.is_none() || self.rtp == now.rtp) && self.ufrag == now.ufrag
    }
}

/// How far the numbers under a key have come.
struct Numbers {
    key: MasterKey,
    rollover: Rollover,
    /// Our descriptions say it, the same for the whole call: it is never forgotten, or its numbers would begin anew. There
    /// is one for each suite.
    is_said: bool,
}

/// Where the datagrams of a handshake come from.
struct Ends {
    packets: PacketReader,
    doorbell: Doorbell,
}

impl Sealing {
    /// Of a call on which nothing was agreed on yet; in handshakes we show `certificate`.
    pub(super) fn new(certificate: Certificate) -> Self {
        Self {
            certificate,
            agreed: Protection::None,
            place: Place::default(),
            keys: None,
            shaking: None,
            has_failed: false,
            prepared: None,
            numbers: Vec::new(),
            version: 0,
        }
    }

    /// Counts the keys that were in use: another number, other keys.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether there is what was agreed on.
    pub(super) fn is_ready(&self) -> bool {
        self.shaking.is_none() && !self.has_failed
    }

    /// Whether the handshake that was agreed on has failed, so that there are no keys.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether sound may be carried: as agreed on, or under the keys before while others are waited for.
    pub(super) fn may_carry(&self) -> bool {
        self.keys.is_some() || self.agreed == Protection::None
    }

    /// A handshake is offered: its first datagrams may come before the answer does.
    pub(super) fn prepare(&mut self, socket: &net::Line) {
        if self.prepared.is_some() || matches!(self.agreed, Protection::Dtls { .. }) {
            return;
        }
        match ends(socket) {
            Ok(ends) => self.prepared = Some(ends),
            // Tried again when it is agreed on, and told then.
            Err(error) => tracing::debug!(%error, "no handshake can be waited for yet"),
        }
    }

    /// Follows what was agreed on. A handshake that has failed begins anew.
    pub(super) fn follow(&mut self, agreed: &Agreed, socket: &net::Line) {
        let (protection, place) = (&agreed.protection, Place::of(agreed));
        // Another telephone that the call reached may show the same certificate from elsewhere.
        let is_named = protection.is_named() && self.agreed.is_named();
        let is_known = protection.continues(&self.agreed) && (is_named || self.place.is_still(&place));
        match protection {
            Protection::None => {
                if self.agreed != Protection::None {
                    self.version += 1;
                }
                (self.keys, self.shaking, self.has_failed) = (None, None, false);
                socket.believe(None);
            }
            Protection::Sdes { ours, theirs } => {
                (self.shaking, self.has_failed) = (None, false);
                self.rollover(ours, true);
                self.take(Shaken { ours: ours.clone(), theirs: theirs.clone() }, socket);
            }
            Protection::Dtls { .. } if is_known && !self.has_failed => {}
            Protection::Dtls { fingerprints, is_client, .. } => {
                let (done, outcome) = oneshot::channel();
                (self.shaking, self.has_failed) = (Some(outcome), false);
                if self.keys.is_none() {
                    // Nobody is taken for the peer by packets that nothing can open yet.
                    socket.believe(Some(opens_nothing()));
                }
                match self.prepared.take().map_or_else(|| ends(socket), Ok) {
                    Ok(ends) => {
                        let shaking = Shaking {
                            certificate: self.certificate.clone(),
                            fingerprints: fingerprints.clone(),
                            is_client: *is_client,
                            // One that will say by checks where it is.
                            is_checked: agreed.ice.as_ref().is_some_and(|ice| !ice.is_lite),
                            sender: socket.sender(),
                        };
                        tokio::spawn(shaking.run(ends, done));
                    }
                    Err(error) => _ = done.send(Err(error.into())),
                }
            }
        }
        self.agreed = protection.clone();
        let rtp = place.rtp.or_else(|| self.place.rtp.filter(|_| is_known));
        self.place = Place { rtp, ..place };
    }

    /// Resolves when the handshake that is under way has ended, with keys that are in use from now on; never where there
    /// is none. Can be cancelled without missing it.
    ///
    /// # Errors
    /// Why there are no keys, and will be none.
    pub(super) async fn shaken(&mut self, socket: &net::Line) -> Result<(), NoKeys> {
        let Some(shaking) = &mut self.shaking else { return std::future::pending().await };
        let outcome = shaking.await.unwrap_or(Err(NoKeys::Over));
        self.shaking = None;
        match outcome {
            Ok(keys) => {
                self.take(keys, socket);
                Ok(())
            }
            Err(why) => {
                self.has_failed = true;
                Err(why)
            }
        }
    }

    /// What seals and opens in one room, going on where it did in the one before; `None` where nothing does.
    pub(super) fn ends(&mut self) -> Option<(Sealer, Opener)> {
        let Shaken { ours, theirs } = self.keys.clone()?;
        Some((ours.sealer(&self.rollover(&ours, false)), theirs.opener(&self.rollover(&theirs, false))))
    }

    /// What seals and opens for nobody, where a leg must neither be heard nor hear until there are keys.
    pub(super) fn nobodys() -> (Sealer, Opener) {
        (nobodys_key().sealer(&Rollover::default()), opens_nothing())
    }

    fn take(&mut self, keys: Shaken, socket: &net::Line) {
        if self.keys.as_ref() == Some(&keys) {
            return;
        }
        self.version += 1;
        // Found elsewhere only by what opens. Who judges takes nothing away from who hears.
        let rollover = self.rollover(&keys.theirs, false).snapshot();
        // Theirs may change with every offer: ours is in use all the same.
        self.rollover(&keys.ours, false);
        socket.believe(Some(keys.theirs.opener(&rollover)));
        self.keys = Some(keys);
    }

    /// How far the numbers under a key have come, which is used now; `is_said` where our descriptions say it.
    fn rollover(&mut self, key: &MasterKey, is_said: bool) -> Rollover {
        rollover_of(&mut self.numbers, key, is_said)
    }
}

fn rollover_of(numbers: &mut Vec<Numbers>, key: &MasterKey, is_said: bool) -> Rollover {
    let known = numbers.iter().position(|known| known.key == *key).map(|at| numbers.remove(at));
    if known.is_none()
        && numbers.len() >= KEYS
        && let Some(oldest) = numbers.iter().position(|known| !known.is_said)
    {
        numbers.remove(oldest);
    }
    let mut used = known.unwrap_or_else(|| Numbers { key: key.clone(), rollover: Rollover::default(), is_said: false });
    used.is_said |= is_said;
    let rollover = used.rollover.clone();
    numbers.push(used);
    rollover
}

/// From now on the peer's datagrams of DTLS come here.
fn ends(socket: &net::Line) -> io::Result<Ends> {
    let (bell, doorbell) = bell()?;
    let (writer, packets) = packets(DATAGRAMS, DATAGRAMS * LONGEST_BYTES);
    socket.shake(writer, bell);
    Ok(Ends { packets, doorbell })
}

fn opens_nothing() -> Opener {
    nobodys_key().opener(&Rollover::default())
}

fn nobodys_key() -> MasterKey {
    MasterKey::fresh(Profile::AesCm128HmacSha1_80, &mut |bytes| rand::fill(bytes))
}

/// One handshake.
struct Shaking {
    certificate: Certificate,
    fingerprints: Vec<String>,
    is_client: bool,
    is_checked: bool,
    sender: Sender,
}

impl Shaking {
    async fn run(self, mut ends: Ends, done: oneshot::Sender<Result<Shaken, NoKeys>>) {
        // Before it is known where the peer is, nothing can be sent.
        if !ends.doorbell.rung().await {
            return;
        }
        if self.is_checked {
            // One that does not check in time is where it says to be.
            let _ = timeout(CHECKED_WITHIN, ends.doorbell.rung()).await;
        }
        let mut done = Some(done);
        let failed = self.shake(ends, &mut done).await;
        if let (Err(why), Some(done)) = (failed, done) {
            // A call that is over does not want to know.
            let _ = done.send(Err(why.into()));
        }
    }

    /// Until the far end may not ask for our last words again, or the call is over.
    async fn shake(
        &self,
        mut ends: Ends,
        done: &mut Option<oneshot::Sender<Result<Shaken, NoKeys>>>,
    ) -> Result<(), BadHandshake> {
        let mut handshake = Handshake::new(&self.certificate, &self.fingerprints, self.is_client, now())?;
        let mut datagram = [0; LONGEST_BYTES];
        loop {
            while let Some((_, length)) = ends.packets.pop(&mut datagram) {
                let taken = handshake.take(now(), &datagram[..length]);
                // Also what says that it failed.
                self.send(&mut handshake);
                if let Some(keys) = taken?
                    && let Some(done) = done.take()
                {
                    // A call that is over does not want them.
                    let _ = done.send(Ok(keys));
                }
            }
            self.send(&mut handshake);
            let wakes_at = handshake.wakes_at().max(now() + FINEST);
            tokio::select! {
                rung = ends.doorbell.rung() => if !rung { return Ok(()) },
                () = sleep_until(wakes_at.into()) => handshake.wake(now())?,
            }
        }
    }

    /// What the socket does not take is said again, as what the network loses.
    fn send(&self, handshake: &mut Handshake) {
        while let Some(datagram) = handshake.poll() {
            self.sender.try_send(&datagram);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell of a handshake reads the clock for the pure one")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::fresh(Profile::AesCm128HmacSha1_80, &mut |bytes| bytes.fill(byte))
    }

    /// A report of eight bytes, sealed; the number that it was sent under.
    fn number_of_next(key: &MasterKey, rollover: &Rollover) -> u32 {
        let mut buffer: Vec<u8> = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        buffer.resize(60, 0);
        key.sealer(rollover).seal_rtcp(&mut buffer, 8).unwrap();
        u32::from_be_bytes(buffer[8..12].try_into().unwrap()) & !(1 << 31)
    }

    #[test]
    fn our_numbers_go_on_however_many_keys_the_far_end_names() {
        let (mut numbers, said, shaken) = (Vec::new(), key(1), key(2));
        assert_eq!(number_of_next(&said, &rollover_of(&mut numbers, &said, true)), 1);
        assert_eq!(number_of_next(&shaken, &rollover_of(&mut numbers, &shaken, false)), 1);
        for byte in 10..10 + 2 * KEYS as u8 {
            rollover_of(&mut numbers, &key(byte), false);
            // In use all the time.
            rollover_of(&mut numbers, &shaken, false);
        }
        assert_eq!(numbers.len(), KEYS);
        assert_eq!(number_of_next(&said, &rollover_of(&mut numbers, &said, false)), 2, "named again");
        assert_eq!(number_of_next(&shaken, &rollover_of(&mut numbers, &shaken, false)), 2);
    }

    #[test]
    fn an_end_that_is_elsewhere_is_another_unless_it_is_held() {
        let place = |port: u16, ufrag: &str| Place {
            rtp: (port != 0).then(|| SocketAddr::from(([192, 0, 2, 1], port))),
            ufrag: (!ufrag.is_empty()).then(|| ufrag.to_owned()),
        };
        let before = place(4_000, "");
        assert!(before.is_still(&place(4_000, "")) && before.is_still(&place(0, "")));
        assert!(!before.is_still(&place(4_002, "")) && !before.is_still(&place(4_000, "abcd")));
    }
}
