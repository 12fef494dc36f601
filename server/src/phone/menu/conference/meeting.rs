//! Who takes part in one conference, when it begins and ends, and who waits meanwhile: a value that decides.
//!
//! A conference begins when two are there and one of them may begin it, or when somebody is in its room who came by
//! another way: a guest, for whom there is no waiting. From then on whoever has company is in it; who is alone, or put
//! on hold, waits. Every change comes with its [`Outcome`]s, in the order in which they are to be carried out.

use std::collections::BTreeMap;

use bot::ivr::twiml::Beep;

/// One who takes part; counts up within a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(u64);

/// How somebody takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Whether it may begin with them.
    pub(super) starts: bool,
    /// Whether it ends with them.
    pub(super) ends: bool,
    /// When a tone tells of them.
    pub(super) beep: Beep,
    /// Whether nobody hears them.
    pub(super) is_muted: bool,
}

/// Where somebody is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// With their menu, until there is company.
    Waiting,
    /// In the conference's room.
    In,
    /// Out of it for good.
    Left,
}

/// One who takes part, as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) manner: Manner,
    pub(super) is_held: bool,
    pub(super) presence: Presence,
}

/// Why a conference is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Everybody has left.
    LastLeft,
    /// Somebody has left with whom it ends.
    EndedBy(MemberId),
    /// Somebody outside wanted it, or its room was closed.
    Ordered,
}

/// What follows from a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Somebody is to be elsewhere.
    Move(MemberId, Presence),
    /// Somebody takes part now.
    Joined(MemberId),
    /// Somebody does not take part any more, who stood so.
    Went(MemberId, Member),
    /// Somebody is heard no more, or again.
    Muted(MemberId),
    /// Somebody was put on hold, or is back.
    Held(MemberId),
    /// Somebody stands differently in other ways.
    Modified(MemberId),
    /// A tone for those who are in it.
    Beep,
    /// It begins.
    Begun,
    /// It is over.
    Over(Why),
}

/// What is to change about somebody; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whether nobody hears them.
    pub(crate) muted: Option<bool>,
    /// Whether they wait, with their menu's music.
    pub(crate) hold: Option<bool>,
    /// Whether it ends with them.
    pub(crate) end_on_exit: Option<bool>,
}

/// One conference.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    members: BTreeMap<MemberId, Member>,
    ever: u64,
    guests: usize,
    has_begun: bool,
    over: Option<Why>,
}

impl Meeting {
    /// Lets somebody take part; nothing when so many do already, or it is over.
    pub(super) fn join(&mut self, manner: Manner, most: u32) -> Option<(MemberId, Vec<Outcome>)> {
        if self.over.is_some() || self.members.len() + self.guests >= most as usize {
            return None;
        }
        let id = MemberId(self.ever);
        self.ever += 1;
        self.members.insert(id, Member { manner, is_held: false, presence: Presence::Waiting });
        let mut outcomes = vec![Outcome::Joined(id)];
        self.settle(&mut outcomes);
        let is_in = self.members[&id].presence == Presence::In;
        if is_in && matches!(manner.beep, Beep::Both | Beep::Enter) {
            outcomes.push(Outcome::Beep);
        }
        Some((id, outcomes))
    }

    /// Somebody leaves by themselves.
    pub(super) fn leave(&mut self, id: MemberId) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.remove(id, &mut outcomes);
        outcomes
    }

    /// Somebody is taken out.
    pub(super) fn kick(&mut self, id: MemberId) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if self.members.contains_key(&id) {
            outcomes.push(Outcome::Move(id, Presence::Left));
            self.remove(id, &mut outcomes);
        }
        outcomes
    }

    /// So many are in the room who came by another way.
    pub(super) fn guests(&mut self, guests: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if self.over.is_none() {
            self.guests = guests;
            self.settle(&mut outcomes);
        }
        outcomes
    }

    /// Changes how somebody stands.
    pub(super) fn change(&mut self, id: MemberId, change: Change) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let Some(member) = self.members.get_mut(&id) else { return outcomes };
        let set = |known: &mut bool, wanted: Option<bool>| {
            wanted.is_some_and(|wanted| std::mem::replace(known, wanted) != wanted)
        };
        if set(&mut member.manner.is_muted, change.muted) {
            outcomes.push(Outcome::Muted(id));
        }
        if set(&mut member.manner.ends, change.end_on_exit) {
            outcomes.push(Outcome::Modified(id));
        }
        if set(&mut member.is_held, change.hold) {
            outcomes.push(Outcome::Held(id));
        }
        self.settle(&mut outcomes);
        outcomes
    }

    /// Ends it.
    pub(super) fn end(&mut self, why: Why) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.finish(why, &mut outcomes);
        outcomes
    }

    /// How somebody stands.
    pub(super) fn member(&self, id: MemberId) -> Option<Member> {
        self.members.get(&id).copied()
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether anybody is to be in its room.
    pub(super) fn is_in_use(&self) -> bool {
        self.members.values().any(|member| member.presence == Presence::In)
    }

    fn remove(&mut self, id: MemberId, outcomes: &mut Vec<Outcome>) {
        let Some(member) = self.members.remove(&id) else { return };
        outcomes.push(Outcome::Went(id, member));
        if member.manner.ends {
            return self.finish(Why::EndedBy(id), outcomes);
        }
        if self.members.is_empty() {
            return self.finish(Why::LastLeft, outcomes);
        }
        let was_in = member.presence == Presence::In;
        if was_in && matches!(member.manner.beep, Beep::Both | Beep::Exit) {
            outcomes.push(Outcome::Beep);
        }
        self.settle(outcomes);
    }

    fn finish(&mut self, why: Why, outcomes: &mut Vec<Outcome>) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(why);
        for (id, member) in std::mem::take(&mut self.members) {
            outcomes.push(Outcome::Move(id, Presence::Left));
            outcomes.push(Outcome::Went(id, member));
        }
        outcomes.push(Outcome::Over(why));
    }

    /// Moves everybody to where they are to be.
    fn settle(&mut self, outcomes: &mut Vec<Outcome>) {
        let has_company = self.members.len() + self.guests > 1;
        let may_begin = self.guests > 0 || self.members.values().any(|member| member.manner.starts);
        if !self.has_begun && has_company && may_begin && !self.members.is_empty() {
            self.has_begun = true;
            outcomes.push(Outcome::Begun);
        }
        for (id, member) in &mut self.members {
            let is_in = self.has_begun && has_company && !member.is_held;
            let presence = if is_in { Presence::In } else { Presence::Waiting };
            if std::mem::replace(&mut member.presence, presence) != presence {
                outcomes.push(Outcome::Move(*id, presence));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUEST: Manner = Manner { starts: false, ends: false, beep: Beep::Never, is_muted: false };
    const HOST: Manner = Manner { starts: true, ends: true, ..GUEST };

    fn joined(meeting: &mut Meeting, manner: Manner) -> (MemberId, Vec<Outcome>) {
        meeting.join(manner, 250).unwrap()
    }

    #[test]
    fn it_begins_when_two_are_there_and_one_may_begin_it() {
        let mut meeting = Meeting::default();
        let (a, outcomes) = joined(&mut meeting, GUEST);
        assert_eq!(outcomes, [Outcome::Joined(a)]);
        let (b, outcomes) = joined(&mut meeting, GUEST);
        assert_eq!(outcomes, [Outcome::Joined(b)]);
        let (host, outcomes) = joined(&mut meeting, HOST);
        let to = |who| Outcome::Move(who, Presence::In);
        assert_eq!(outcomes, [Outcome::Joined(host), Outcome::Begun, to(a), to(b), to(host)]);
        // One who may begin it and is alone waits.
        let mut meeting = Meeting::default();
        let (host, outcomes) = joined(&mut meeting, HOST);
        assert_eq!(outcomes, [Outcome::Joined(host)]);
        let (a, outcomes) = joined(&mut meeting, GUEST);
        assert_eq!(outcomes, [Outcome::Joined(a), Outcome::Begun, to(host), to(a)]);
    }

    #[test]
    fn whoever_is_alone_waits_and_it_goes_on_when_somebody_comes_who_could_not_begin_it() {
        let mut meeting = Meeting::default();
        let (a, _) = joined(&mut meeting, Manner { ends: false, ..HOST });
        let (b, _) = joined(&mut meeting, GUEST);
        let outcomes = meeting.leave(a);
        assert!(matches!(outcomes[..], [Outcome::Went(_, _), Outcome::Move(who, Presence::Waiting)] if who == b));
        let (c, outcomes) = joined(&mut meeting, GUEST);
        let to = |who| Outcome::Move(who, Presence::In);
        assert_eq!(outcomes, [Outcome::Joined(c), to(b), to(c)]);
        meeting.leave(b);
        assert!(meeting.leave(c).ends_with(&[Outcome::Over(Why::LastLeft)]));
        assert!(meeting.join(HOST, 250).is_none());
    }

    #[test]
    fn it_ends_with_those_with_whom_it_is_to_end_and_everybody_else_is_out() {
        let mut meeting = Meeting::default();
        let (a, _) = joined(&mut meeting, GUEST);
        let (host, _) = joined(&mut meeting, HOST);
        let left = meeting.leave(host);
        assert!(matches!(
            left[..],
            [Outcome::Went(_, _), Outcome::Move(who, Presence::Left), Outcome::Went(..), Outcome::Over(Why::EndedBy(by))]
                if who == a && by == host
        ));
        assert_eq!(meeting.leave(a), []);
        assert_eq!(meeting.guests(3), []);
    }

    #[test]
    fn whoever_is_held_waits_and_the_other_stays() {
        let mut meeting = Meeting::default();
        let (a, _) = joined(&mut meeting, HOST);
        let (b, _) = joined(&mut meeting, GUEST);
        let hold = |hold| Change { hold: Some(hold), ..Change::default() };
        let held = [Outcome::Held(b), Outcome::Move(b, Presence::Waiting)];
        assert_eq!(meeting.change(b, hold(true)), held);
        assert_eq!(meeting.change(b, hold(true)), []);
        assert_eq!(meeting.member(a).unwrap().presence, Presence::In);
        assert_eq!(meeting.change(b, hold(false)), [Outcome::Held(b), Outcome::Move(b, Presence::In)]);
        let mute = Change { muted: Some(true), end_on_exit: Some(true), hold: None };
        assert_eq!(meeting.change(b, mute), [Outcome::Muted(b), Outcome::Modified(b)]);
        assert!(meeting.member(b).unwrap().manner.is_muted);
        assert_eq!(meeting.kick(b)[0], Outcome::Move(b, Presence::Left));
    }

    #[test]
    fn a_guest_in_the_room_begins_it_and_counts() {
        let mut meeting = Meeting::default();
        let (a, _) = joined(&mut meeting, GUEST);
        assert_eq!(meeting.guests(1), [Outcome::Begun, Outcome::Move(a, Presence::In)]);
        assert!(meeting.join(GUEST, 2).is_none());
        assert_eq!(meeting.guests(0), [Outcome::Move(a, Presence::Waiting)]);
        assert!(meeting.join(GUEST, 2).is_some());
    }

    #[test]
    fn a_tone_tells_of_those_of_whom_it_is_to_tell_and_only_where_somebody_hears_it() {
        for (beep, enters, exits) in [
            (Beep::Both, true, true),
            (Beep::Never, false, false),
            (Beep::Enter, true, false),
            (Beep::Exit, false, true),
        ] {
            let mut meeting = Meeting::default();
            let (_, alone) = joined(&mut meeting, Manner { beep, ends: false, ..HOST });
            assert!(!alone.contains(&Outcome::Beep));
            let (b, outcomes) = joined(&mut meeting, Manner { beep, ..GUEST });
            assert_eq!(outcomes.contains(&Outcome::Beep), enters, "{beep:?}");
            assert_eq!(meeting.leave(b).contains(&Outcome::Beep), exits, "{beep:?}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(bool, bool),
        Leave(prop::sample::Index),
        Kick(prop::sample::Index),
        Hold(prop::sample::Index, bool),
        Guests(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let who = || any::<prop::sample::Index>();
        prop_oneof![
            4 => (any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(starts, ends)| Step::Join(starts, ends)),
            2 => who().prop_map(Step::Leave),
            1 => who().prop_map(Step::Kick),
            2 => (who(), any::<bool>()).prop_map(|(who, hold)| Step::Hold(who, hold)),
            1 => (0_usize..3).prop_map(Step::Guests),
        ]
    }

    proptest! {
        #[test]
        fn everybody_is_told_once_where_to_be_and_is_there(steps in prop::collection::vec(step(), 1..60)) {
            let mut meeting = Meeting::default();
            // Where everybody is who was told of it, beginning with waiting.
            let mut places: BTreeMap<MemberId, Presence> = BTreeMap::new();
            let mut is_over = false;
            for step in steps {
                let ids: Vec<_> = meeting.members.keys().copied().collect();
                let one = |who: prop::sample::Index| (!ids.is_empty()).then(|| ids[who.index(ids.len())]);
                let outcomes = match step {
                    Step::Join(starts, ends) => {
                        match meeting.join(Manner { starts, ends, ..GUEST }, 8) {
                            Some((id, outcomes)) => {
                                prop_assert!(places.insert(id, Presence::Waiting).is_none());
                                outcomes
                            }
                            None => {
                                prop_assert!(is_over || meeting.members.len() + meeting.guests >= 8);
                                continue;
                            }
                        }
                    }
                    Step::Leave(who) => match one(who) {
                        Some(id) => {
                            // Nobody has to be told what they do.
                            places.insert(id, Presence::Left);
                            meeting.leave(id)
                        }
                        None => continue,
                    },
                    Step::Kick(who) => one(who).map(|id| meeting.kick(id)).unwrap_or_default(),
                    Step::Hold(who, hold) => {
                        let change = Change { hold: Some(hold), ..Change::default() };
                        one(who).map(|id| meeting.change(id, change)).unwrap_or_default()
                    }
                    Step::Guests(guests) => meeting.guests(guests),
                };
                for outcome in outcomes {
                    prop_assert!(!is_over, "nothing follows the end");
                    match outcome {
                        Outcome::Move(id, to) => {
                            let from = places.insert(id, to);
                            prop_assert!(from.is_some_and(|from| from != to && from != Presence::Left));
                        }
                        Outcome::Over(_) => is_over = true,
                        _ => {}
                    }
                }
                let company = meeting.members.len() + meeting.guests > 1;
                for (id, presence) in &places {
                    let expected = match meeting.member(*id) {
                        None => Presence::Left,
                        Some(member) if meeting.has_begun && company && !member.is_held => Presence::In,
                        Some(_) => Presence::Waiting,
                    };
                    prop_assert_eq!(*presence, expected);
                }
            }
        }
    }
}
