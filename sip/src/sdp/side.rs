//! Our side of one dialog's session: what we can do, what was said last, and the numbers that must stay.
//!
//! Pure. A dialog has one; a fork of it takes a clone. [`Side::offer`] and [`Side::accept`] are the two halves of asking,
//! [`Side::answer`] is being asked, as often as the call likes: sections keep their places, payload types
//! their meaning, keys their use, and the version of `o=` counts exactly the changes. Who refuses an offer changes
//! nothing.

use std::collections::BTreeMap;

use media::{codec::voice::Codec, rtp::srtp::MasterKey};

use super::{
    Agreed, Attribute, Capabilities, Direction, Host, Local, Media, Origin, Session,
    audio::{Audio, COMFORT, EVENT},
    ice,
};

/// The first number that means what a description says.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// Our side of a session.
#[derive(Clone, Debug)]
pub struct Side {
    pub(super) capabilities: Capabilities,
    pub(super) local: Local,
    pub(super) direction: Direction,
    id: u64,
    version: u64,
    /// One for each suite.
    pub(super) keys: Vec<MasterKey>,
    /// The payload types that we hear things under, by name and clock.
    types: BTreeMap<Name, u8>,
    /// What payload types have meant to either of us.
    taken: BTreeMap<u8, Name>,
    /// What we said last.
    pub(super) said: Option<Session>,
    /// Our offer that waits for its answer.
    pub(super) offered: Option<Session>,
    /// Which section is our audio.
    pub(super) index: usize,
    pub(super) agreed: Option<Agreed>,
}

/// A format's name, in small letters, and its clock.
pub(super) type Name = (String, u32);

impl Side {
    /// A side of a session that nobody spoke of yet. `id` names it, and should not be guessed; `random` fills what it is
    /// given from a good generator.
    pub fn new(capabilities: Capabilities, local: Local, id: u64, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let keys = capabilities.suites.iter().map(|suite| MasterKey::fresh(*suite, random)).collect();
        Self {
            capabilities,
            local,
            direction: Direction::SendRecv,
            // Some read both numbers as signed words of 64 bits.
            id: id >> 1,
            version: 1,
            keys,
            types: BTreeMap::new(),
            taken: BTreeMap::new(),
            said: None,
            offered: None,
            index: 0,
            agreed: None,
        }
    }

    /// What both agreed on last.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    /// Our last description, as it was sent.
    pub fn said(&self) -> Option<&Session> {
        self.said.as_ref()
    }

    /// Whether an offer of ours waits for its answer: no other may be made or answered meanwhile (RFC 3264 section 4).
    pub fn is_asking(&self) -> bool {
        self.offered.is_some()
    }

    /// From now on we send and hear so, as far as the far end does: [`Direction::SendOnly`] holds it with music,
    /// [`Direction::Inactive`] without. To be offered, or answered, to count.
    pub fn turn(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// From now on we are elsewhere.
    #[cfg(test)]
    pub(crate) fn move_to(&mut self, local: Local) {
        self.local = local;
    }

    /// From now on only `codecs` are known here, the best first.
    pub fn speak(&mut self, codecs: Vec<Codec>) {
        self.capabilities.codecs = codecs;
    }

    /// The offer that waits was refused, or is given up: what was agreed on before holds.
    pub fn withdraw(&mut self) {
        self.offered = None;
    }

    /// A description of ours with these sections; the version counts when anything has changed.
    pub(super) fn stamped(&mut self, media: Vec<Media>) -> Session {
        let mut attributes = Vec::new();
        if media.iter().any(ice::is_spoken) {
            attributes.push(Attribute::flag("ice-lite"));
        }
        let origin = Origin {
            user: "-".to_owned(),
            id: self.id.to_string(),
            version: self.version.to_string(),
            address: Host::Ip(self.local.ip),
        };
        let mut session = Session {
            origin,
            name: "-".to_owned(),
            connection: Some(Host::Ip(self.local.ip)),
            others: vec![('t', "0 0".to_owned())],
            attributes,
            media,
        };
        if self.said.as_ref().is_some_and(|said| *said != session) {
            self.version += 1;
            session.origin.version = self.version.to_string();
        }
        self.said = Some(session.clone());
        session
    }

    /// Remembers what the far end's payload types mean.
    pub(super) fn learn(&mut self, audio: &Audio<'_>) {
        for format in &audio.formats {
            self.taken.insert(format.number, (format.name.to_ascii_lowercase(), format.clock_hz));
        }
    }

    /// From now on this is heard under `number`.
    pub(super) fn hear_under(&mut self, name: Name, number: u8) {
        self.types.retain(|_, other| *other != number);
        self.taken.insert(number, name.clone());
        self.types.insert(name, number);
    }

    /// The payload type that this comes under, if it was ever said.
    pub(super) fn heard_under(&self, name: &Name) -> Option<u8> {
        self.types.get(name).copied()
    }

    /// The payload type to offer for this: the one that it has, the usual one, or one that was never used; `None` when
    /// all were.
    pub(super) fn number(&mut self, name: Name) -> Option<u8> {
        if let Some(number) = self.heard_under(&name) {
            return Some(number);
        }
        let is_free = |number: &u8| self.taken.get(number).is_none_or(|taken| *taken == name);
        let usual = usual(&name);
        let number = usual.into_iter().chain(DYNAMIC).find(is_free)?;
        self.hear_under(name, number);
        Some(number)
    }
}

/// What a codec is called in a description.
pub(super) fn name_of(codec: Codec) -> Name {
    (codec.name().to_ascii_lowercase(), codec.clock().ticks_hz)
}

/// What events at this clock are called.
pub(super) fn events_at(clock_hz: u32) -> Name {
    (EVENT.to_owned(), clock_hz)
}

/// The number that everybody takes.
fn usual((name, clock_hz): &Name) -> Option<u8> {
    Some(match (name.as_str(), clock_hz) {
        ("pcmu", _) => 0,
        ("pcma", _) => 8,
        ("g722", _) => 9,
        ("cn", _) => COMFORT,
        ("opus", _) => 96,
        (EVENT, 8_000) => 101,
        (EVENT, 48_000) => 102,
        _ => return None,
    })
}
