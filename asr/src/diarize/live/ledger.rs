//! The people of one stream: who there is by now, what they sound like, and the numbers that they keep.
//!
//! Pure. Every piece of voice is taken as it comes, put to a group, and from time to time the groups are settled into
//! people, as at the end of a recording, but beginning with whoever is somebody already. Whoever is somebody keeps
//! their number; of two who turn out to be one the older number stays; no number is ever given to another person.
//! Memory does not grow: the pieces of the last ten minutes of speech are kept, older ones are sums.

use std::collections::VecDeque;

use crate::diarize::{
    Diarization, VoiceId,
    cluster::{self, Group, Groups, MOST_PEOPLE, Names, Piece, dot},
    print::VoicePrint,
    voice::{Thresholds, VoiceKind},
};

/// Pieces, half a second apart, that make somebody: 4 s of speech. With seven, three readers became six people while
/// they read, and with six seven.
const LEAST_PIECES: usize = 8;

/// The same for the first of a stream: there is nobody yet that it could be mistaken for.
const LEAST_PIECES_FIRST: usize = 2;

/// The same for somebody who is as like a known voice as one person is to themselves, and for the first where there are
/// known voices: so much is needed to say that it is none of them.
const LEAST_PIECES_KNOWN: usize = 3;

/// Whoever is left with fewer pieces than this was nobody.
const LEAST_PIECES_KEPT: usize = 4;

/// Pieces that are kept one by one: ten minutes of speech, 1.2 MB.
const KEPT_PIECES: usize = 1_200;

/// Kept pieces become sums in bulk.
const FORGOTTEN_AT_ONCE: usize = 200;

/// Times that every kept piece is held against the people found so far.
const ROUNDS: usize = 2;
const ROUNDS_AT_END: usize = 4;

/// Kept pieces for each of which people are settled one piece later: at first after every piece, later every 2 s.
const PIECES_PER_WAIT: usize = 300;

/// Why a known voice cannot be recognized in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Which of the known voices.
    pub voice: VoiceId,
    /// Why.
    pub why: UnusableWhy,
}

/// What is wrong with a print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableWhy {
    /// Another model than the one that is loaded made it: their numbers say nothing about each other.
    #[error("its print was made by the model {made_by}, and {loaded} is loaded: enrol the voice anew")]
    OtherModel {
        /// The one that made it.
        made_by: String,
        /// The one that is loaded.
        loaded: &'static str,
    },
    /// It has more or fewer numbers than the voices that this model hears.
    #[error("its print has {is} numbers, and a voice of this model {should}: enrol the voice anew")]
    OtherLength {
        /// How many it has.
        is: usize,
        /// How many a voice has.
        should: usize,
    },
}

/// Somebody.
#[derive(Clone, Debug)]
struct Person {
    /// `None` for somebody who is new.
    id: Option<VoiceId>,
    mass: Group,
}

/// One number stands for another from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) gone: VoiceId,
    pub(super) kept: VoiceId,
}

/// Who there is.
#[derive(Debug)]
pub(super) struct Ledger {
    kind: VoiceKind,
    limits: Thresholds,
    known: Vec<VoicePrint>,
    most: usize,
    groups: Groups,
    pieces: VecDeque<Piece>,
    /// What was forgotten of each person.
    sums: Vec<(VoiceId, Group)>,
    people: Vec<Person>,
    next_id: u16,
    /// Pieces since people were settled.
    waiting: usize,
    merges: Vec<Merge>,
    /// Counts up whenever people came, went or became one.
    generation: u64,
}

impl Ledger {
    /// Nobody yet.
    pub(super) fn new(wish: &Diarization, kind: VoiceKind) -> Self {
        let known = wish.known.clone();
        Self {
            kind,
            limits: kind.thresholds(),
            next_id: u16::try_from(known.len()).unwrap_or(u16::MAX),
            known,
            most: wish.expected.map_or(MOST_PEOPLE, |count| count.clamp(1, MOST_PEOPLE)),
            groups: Groups::default(),
            pieces: VecDeque::new(),
            sums: Vec::new(),
            people: Vec::new(),
            waiting: 0,
            merges: Vec::new(),
            generation: 0,
        }
    }

    /// Known voices that cannot be recognized here, once a voice has been heard those of another length too.
    pub(super) fn unusable(&self) -> Vec<Unusable> {
        let should = self.pieces.back().map(|piece| piece.voice.len());
        let why = |print: &VoicePrint| {
            if &*print.model != self.kind.name() {
                let made_by = print.model.to_string();
                return Some(UnusableWhy::OtherModel { made_by, loaded: self.kind.name() });
            }
            let should = should.filter(|should| *should != print.voice.len())?;
            Some(UnusableWhy::OtherLength { is: print.voice.len(), should })
        };
        let all = self.known.iter().enumerate();
        all.filter_map(|(at, print)| Some(Unusable { voice: VoiceId(at as u16), why: why(print)? })).collect()
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: Piece) {
        self.groups.take(&piece);
        self.pieces.push_back(piece);
        if self.pieces.len() >= KEPT_PIECES + FORGOTTEN_AT_ONCE {
            self.forget();
        }
        self.waiting += 1;
        if self.waiting > self.pieces.len() / PIECES_PER_WAIT {
            self.settle(ROUNDS);
        }
    }

    /// Settles who there is for good: nothing more is heard. Where every piece is still kept, people are found from the
    /// beginning, as in a recording.
    pub(super) fn end(&mut self) {
        if self.sums.is_empty() && !self.people.is_empty() {
            let before = self.ids();
            let people = self.afresh();
            self.become_people(people, &before);
        } else {
            self.settle(ROUNDS_AT_END);
        }
    }

    /// Finds people as if nobody were somebody yet. Whoever has most of the pieces that somebody had is that person.
    fn afresh(&mut self) -> Vec<Person> {
        let pieces: Vec<Piece> = self.pieces.iter().cloned().collect();
        let mut found = cluster::people(self.groups.clone(), &pieces, None);
        if found.len() > self.most {
            found = cluster::people(self.groups.clone(), &pieces, Some(self.most));
        }
        let olds: Vec<Vec<f32>> = self.people.iter().map(|person| self.voice(person)).collect();
        let mut held: Vec<Option<Group>> = vec![None; found.len()];
        let mut shared = vec![vec![0_usize; found.len()]; olds.len()];
        for piece in &pieces {
            let Some(now) = likest(&found, &piece.voice, self.limits.strange) else { continue };
            match &mut held[now] {
                Some(mass) => mass.take(piece),
                none => *none = Some(Group::of(piece)),
            }
            if let Some(old) = likest(&olds, &piece.voice, self.limits.strange) {
                shared[old][now] += 1;
            }
        }
        let mut ids: Vec<Option<VoiceId>> = vec![None; found.len()];
        for (old, shared) in shared.iter().enumerate() {
            let (Some(id), Some(&most)) = (self.people[old].id, shared.iter().max()) else { continue };
            let now = shared.iter().position(|&count| count == most).unwrap_or(0);
            if most == 0 || most * 2 < shared.iter().sum::<usize>() {
                continue;
            }
            // The older ones come first, and keep their number where two were one all along.
            match ids[now] {
                Some(kept) => self.merges.push(Merge { gone: id, kept }),
                None => ids[now] = Some(id),
            }
        }
        ids.into_iter().zip(held).filter_map(|(id, mass)| Some(Person { id, mass: mass? })).collect()
    }

    fn ids(&self) -> Vec<VoiceId> {
        self.people.iter().filter_map(|person| person.id).collect()
    }

    /// The pieces that are kept, by time.
    pub(super) fn pieces(&self) -> &VecDeque<Piece> {
        &self.pieces
    }

    /// Who there is, and by which number.
    pub(super) fn people(&self) -> (Vec<Vec<f32>>, Names) {
        let voices = self.people.iter().map(|person| self.voice(person)).collect();
        let ids = self.people.iter().map(|person| person.id.map(|id| usize::from(id.0))).collect();
        (voices, Names::given(ids))
    }

    /// What is less like anybody than this is somebody else.
    pub(super) fn strange(&self) -> f32 {
        self.limits.strange
    }

    /// Changes with whoever there is.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Numbers that became others since this was asked.
    pub(super) fn merges(&mut self) -> Vec<Merge> {
        std::mem::take(&mut self.merges)
    }

    /// What a person sounds like. A known voice counts as much as all that was heard here, so that it never drifts far.
    fn voice(&self, person: &Person) -> Vec<f32> {
        let heard = person.mass.voice();
        match person.id.and_then(|id| self.anchor(usize::from(id.0), heard.len())) {
            Some(anchor) => unit(heard.iter().zip(anchor).map(|(a, b)| a + b).collect()),
            None => heard,
        }
    }

    /// The known voice at a place, where it can be compared.
    fn anchor(&self, at: usize, numbers: usize) -> Option<&[f32]> {
        let print = self.known.get(at)?;
        (&*print.model == self.kind.name() && print.voice.len() == numbers).then_some(&*print.voice)
    }

    /// Makes sums of the oldest pieces: each is whoever's it is most like.
    fn forget(&mut self) {
        let voices: Vec<Vec<f32>> = self.people.iter().map(|person| self.voice(person)).collect();
        for piece in self.pieces.drain(..FORGOTTEN_AT_ONCE) {
            let Some(at) = likest(&voices, &piece.voice, self.limits.strange) else { continue };
            let Some(id) = self.people[at].id else { continue };
            match self.sums.iter_mut().find(|(of, _)| *of == id) {
                Some((_, sum)) => sum.take(&piece),
                None => self.sums.push((id, Group::of(&piece))),
            }
        }
    }

    /// Finds out who there is.
    fn settle(&mut self, rounds: usize) {
        self.waiting = 0;
        let before = self.ids();
        let seeds = self.seeds();
        let mut people = self.joined(seeds);
        self.recognize(&mut people);
        // Where there may be no more, whoever is somebody stays, and who comes is unknown.
        people.sort_by_key(|person| (person.id.is_none(), person.id, std::cmp::Reverse(person.mass.hops)));
        people.truncate(self.most);
        for _ in 0..rounds {
            let held = self.reassigned(&people);
            if held.is_empty() {
                break;
            }
            people = self.joined(held);
        }
        self.become_people(people, &before);
    }

    /// These are the people from now on; who is new among them is given the next number.
    fn become_people(&mut self, mut people: Vec<Person>, before: &[VoiceId]) {
        self.recognize(&mut people);
        people.sort_by_key(|person| (person.id.is_none(), person.id));
        for person in &mut people {
            if person.id.is_none() && self.next_id < u16::MAX {
                person.id = Some(VoiceId(self.next_id));
                self.next_id += 1;
            }
        }
        people.retain(|person| person.id.is_some());
        self.people = people;
        let now = self.ids();
        self.generation += u64::from(now != before);
        // Whoever is nobody any more leaves no voice behind that others would be held against.
        self.sums.retain(|(id, _)| now.contains(id));
    }

    /// Whoever is somebody, and the groups that may be somebody new.
    fn seeds(&self) -> Vec<Person> {
        let mut seeds = self.people.clone();
        let mut all: Vec<&Group> = self.groups.all().iter().collect();
        all.sort_by_key(|group| std::cmp::Reverse(group.hops));
        for group in all {
            let least = if self.people.is_empty() && seeds.is_empty() && self.known.is_empty() {
                LEAST_PIECES_FIRST
            } else if (self.people.is_empty() && seeds.is_empty()) || self.is_group_known(group) {
                LEAST_PIECES_KNOWN
            } else {
                LEAST_PIECES
            };
            if group.pieces >= least {
                seeds.push(Person { id: None, mass: group.clone() });
            }
        }
        seeds
    }

    /// Whether a group is as like a known voice as one person is to themselves.
    fn is_group_known(&self, group: &Group) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let voice = group.voice();
        let mut anchors = (0..self.known.len()).filter_map(|at| self.anchor(at, voice.len()));
        anchors.any(|anchor| dot(anchor, &voice) >= self.limits.one_person)
    }

    /// Makes one of the two likest until none are alike. The older number stays; two known voices are two people, however
    /// alike.
    fn joined(&mut self, mut people: Vec<Person>) -> Vec<Person> {
        loop {
            let voices: Vec<Vec<f32>> = people.iter().map(|person| self.voice(person)).collect();
            let is_known = |at: usize| people[at].id.is_some_and(|id| usize::from(id.0) < self.known.len());
            let pairs = (0..people.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
            let likest = pairs
                .filter(|&(first, second)| !(is_known(first) && is_known(second)))
                .map(|(first, second)| (dot(&voices[first], &voices[second]), first, second))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((alike, first, second)) = likest else { return people };
            if alike < self.limits.one_person {
                return people;
            }
            let other = people.swap_remove(second);
            let one = &mut people[first];
            one.mass.join(&other.mass);
            match (one.id, other.id) {
                (Some(a), Some(b)) => {
                    let merge = Merge { gone: a.max(b), kept: a.min(b) };
                    one.id = Some(merge.kept);
                    self.rename(merge);
                }
                (a, b) => one.id = a.or(b),
            }
        }
    }

    /// One number becomes another.
    fn rename(&mut self, merge: Merge) {
        self.merges.push(merge);
        self.generation += 1;
        let Some(at) = self.sums.iter().position(|(id, _)| *id == merge.gone) else { return };
        let (_, sum) = self.sums.swap_remove(at);
        match self.sums.iter_mut().find(|(id, _)| *id == merge.kept) {
            Some((_, kept)) => kept.join(&sum),
            None => self.sums.push((merge.kept, sum)),
        }
    }

    /// Every kept piece with whomever it is most like, and with each what was forgotten of them. Strange pieces are
    /// nobody's, and so is whoever is left with too few.
    fn reassigned(&self, people: &[Person]) -> Vec<Person> {
        let voices: Vec<Vec<f32>> = people.iter().map(|person| self.voice(person)).collect();
        let mut held: Vec<Option<Group>> = people
            .iter()
            .map(|person| self.sums.iter().find(|(id, _)| Some(*id) == person.id).map(|(_, sum)| sum.clone()))
            .collect();
        for piece in &self.pieces {
            let Some(at) = likest(&voices, &piece.voice, self.limits.strange) else { continue };
            match &mut held[at] {
                Some(mass) => mass.take(piece),
                none => *none = Some(Group::of(piece)),
            }
        }
        let only = people.len() == 1;
        let is_somebody = |person: &Person, mass: &Group| match person.id {
            _ if only => true,
            Some(id) if usize::from(id.0) < self.known.len() => true,
            Some(_) => mass.pieces >= LEAST_PIECES_KEPT,
            None => mass.pieces >= LEAST_PIECES || (mass.pieces >= LEAST_PIECES_KNOWN && self.is_group_known(mass)),
        };
        let found = people.iter().zip(held).filter_map(|(person, mass)| Some((person, mass?)));
        found
            .filter(|(person, mass)| is_somebody(person, mass))
            .map(|(person, mass)| Person { id: person.id, mass })
            .collect()
    }

    /// Gives known voices to whoever has them: the likest first, and nobody two.
    fn recognize(&mut self, people: &mut [Person]) {
        let known = self.known.len();
        let is_known = |id: Option<VoiceId>| id.is_some_and(|id| usize::from(id.0) < known);
        let mut pairs: Vec<(f32, usize, VoiceId)> = Vec::new();
        for (at, person) in people.iter().enumerate().filter(|(_, person)| !is_known(person.id)) {
            let voice = person.mass.voice();
            for place in 0..known {
                let alike = self.anchor(place, voice.len()).map_or(-1.0, |anchor| dot(anchor, &voice));
                if alike >= self.limits.one_person && person.mass.pieces >= LEAST_PIECES_KNOWN {
                    pairs.push((alike, at, VoiceId(place as u16)));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, at, id) in pairs {
            let is_taken = people.iter().any(|person| person.id == Some(id));
            if is_taken || is_known(people[at].id) {
                continue;
            }
            if let Some(gone) = people[at].id.replace(id) {
                self.rename(Merge { gone, kept: id });
            }
        }
    }
}

/// The one of the voices that a piece is most like, unless it is strange to all.
fn likest(voices: &[Vec<f32>], piece: &[f32], strange: f32) -> Option<usize> {
    let alike = voices.iter().map(|voice| dot(voice, piece)).enumerate();
    let (at, alike) = alike.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (alike >= strange).then_some(at)
}

/// Of length one.
fn unit(mut voice: Vec<f32>) -> Vec<f32> {
    let length = dot(&voice, &voice).sqrt().max(f32::MIN_POSITIVE);
    voice.iter_mut().for_each(|part| *part /= length);
    voice
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: usize = 256;

    /// Noise that is the same everywhere, in -1..1.
    struct Noise(u32);

    impl Noise {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    /// Somebody's direction, so far from it that pieces are some 0.9 alike to it.
    fn voice(who: usize, noise: &mut Noise) -> Vec<f32> {
        unit((0..NUMBERS).map(|part| f32::from(u8::from(part == who)) + 0.05 * noise.next()).collect())
    }

    /// Feeds a piece for each who, half a second apart.
    fn heard(ledger: &mut Ledger, who: impl IntoIterator<Item = usize>) {
        let mut noise = Noise(7);
        let from = ledger.pieces().back().map_or(25, |piece| piece.at + 50);
        for (count, who) in who.into_iter().enumerate() {
            ledger.take(Piece { at: from + count * 50, hops: 130, voice: voice(who, &mut noise) });
        }
    }

    fn nobody(wish: &Diarization) -> Ledger {
        Ledger::new(wish, VoiceKind::Ge2e)
    }

    /// Everybody's number and direction, by number.
    fn told(ledger: &Ledger) -> Vec<(u16, usize)> {
        let most = |voice: &[f32]| voice.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        let (voices, _) = ledger.people();
        ledger.people.iter().zip(&voices).map(|(person, voice)| (person.id.unwrap().0, most(voice))).collect()
    }

    fn print(who: usize) -> VoicePrint {
        let voice: Vec<f32> = (0..NUMBERS).map(|part| f32::from(u8::from(part == who))).collect();
        VoicePrint::new(VoiceKind::Ge2e.name(), &voice).unwrap()
    }

    fn knowing(known: Vec<VoicePrint>) -> Ledger {
        nobody(&Diarization { known, expected: None })
    }

    fn times(who: usize, count: usize) -> impl Iterator<Item = usize> {
        std::iter::repeat_n(who, count)
    }

    #[test]
    fn one_speaker_for_an_hour_is_never_split() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, times(3, 7_200));
        ledger.end();
        assert_eq!(told(&ledger), [(0, 3)]);
        assert_eq!(ledger.next_id, 1, "nor was it for a while");
    }

    #[test]
    fn people_are_numbered_in_the_order_in_which_they_become_somebody() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, times(5, 1));
        assert_eq!(told(&ledger), [], "one piece is nobody");
        heard(&mut ledger, times(5, 5));
        assert_eq!(told(&ledger), [(0, 5)]);
        heard(&mut ledger, times(2, LEAST_PIECES - 1));
        assert_eq!(told(&ledger), [(0, 5)], "too little to be somebody");
        heard(&mut ledger, times(2, 1).chain(times(1, 12)));
        assert_eq!(told(&ledger), [(0, 5), (1, 2), (2, 1)]);
    }

    #[test]
    fn twelve_who_speak_in_turns_are_twelve() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, (0..60).flat_map(|turn| times(turn % 12, 4)));
        ledger.end();
        let who: Vec<usize> = told(&ledger).iter().map(|&(_, who)| who).collect();
        assert_eq!(who.len(), 12, "{who:?}");
        assert!((0..12).all(|person| who.contains(&person)), "{who:?}");
    }

    #[test]
    fn never_more_than_twenty() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, (0..31).flat_map(|who| times(who, 12)));
        ledger.end();
        assert!(told(&ledger).len() <= MOST_PEOPLE, "{:?}", told(&ledger));
    }

    #[test]
    fn as_many_as_were_expected_at_most() {
        let mut ledger = nobody(&Diarization { known: Vec::new(), expected: Some(2) });
        heard(&mut ledger, (0..20).flat_map(|turn| times(turn % 4, 6)));
        assert_eq!(told(&ledger), [(0, 0), (1, 1)], "whoever comes later is unknown rather than one of the two");
        // Fewer than were expected are not made more.
        let mut ledger = nobody(&Diarization { known: Vec::new(), expected: Some(3) });
        heard(&mut ledger, times(0, 200));
        assert_eq!(told(&ledger), [(0, 0)]);
    }

    #[test]
    fn two_lines_of_one_voice_become_one_and_the_older_number_stays() {
        // A telephone and a headset: less alike than one person is to themselves, until there is something in between.
        let between = |share: f32, noise: &mut Noise| {
            let (a, b) = (voice(0, noise), voice(1, noise));
            unit(a.iter().zip(&b).map(|(a, b)| a * (1.0 - share) + b * share).collect())
        };
        let mut ledger = nobody(&Diarization::default());
        let mut noise = Noise(11);
        let mut take = |ledger: &mut Ledger, share: f32| {
            let at = ledger.pieces().len() * 50 + 25;
            ledger.take(Piece { at, hops: 130, voice: between(share, &mut noise) });
        };
        (0..12).for_each(|_| take(&mut ledger, 0.2));
        (0..12).for_each(|_| take(&mut ledger, 0.75));
        assert_eq!(ledger.people.len(), 2);
        assert!(ledger.merges().is_empty());
        (0..80).for_each(|_| take(&mut ledger, 0.5));
        (0..60).for_each(|_| take(&mut ledger, 0.35));
        ledger.end();
        assert_eq!(told(&ledger).iter().map(|&(id, _)| id).collect::<Vec<_>>(), [0]);
        let merges = ledger.merges();
        assert!(merges.iter().any(|merge| merge.kept == VoiceId(0)), "{merges:?}");
        assert!(merges.iter().all(|merge| merge.kept < merge.gone));
        // Its number is nobody's from then on.
        let next = ledger.next_id;
        heard(&mut ledger, times(9, 12));
        assert_eq!(told(&ledger).last(), Some(&(next, 9)));
    }

    #[test]
    fn whoever_is_known_has_their_number_and_others_count_up_behind() {
        let mut ledger = knowing(vec![print(4), print(6)]);
        heard(&mut ledger, times(9, 12));
        assert_eq!(told(&ledger), [(2, 9)], "a stranger");
        heard(&mut ledger, times(6, LEAST_PIECES_KNOWN));
        assert_eq!(told(&ledger), [(1, 6), (2, 9)], "a known voice is recognized within moments");
        heard(&mut ledger, times(6, 300).chain(times(9, 10)));
        assert_eq!(told(&ledger), [(1, 6), (2, 9)]);
        assert!(ledger.unusable().is_empty());
    }

    #[test]
    fn a_known_voice_does_not_drift_far() {
        let mut ledger = knowing(vec![print(4)]);
        heard(&mut ledger, times(4, 2_000));
        let (voices, names) = ledger.people();
        assert_eq!(names.of(0), Some(0));
        assert!(dot(&voices[0], &print(4).voice) > 0.99);
    }

    #[test]
    fn prints_that_say_nothing_here_are_left_out_with_the_reason() {
        let other = VoicePrint::new("campplus", &[1.0; 192]).unwrap();
        let mut ledger = knowing(vec![other, print(4)]);
        let why = UnusableWhy::OtherModel { made_by: "campplus".to_owned(), loaded: VoiceKind::Ge2e.name() };
        assert_eq!(ledger.unusable(), [Unusable { voice: VoiceId(0), why }]);
        heard(&mut ledger, times(4, 12).chain(times(8, 12)));
        assert_eq!(told(&ledger), [(1, 4), (2, 8)], "numbers are where they were");
    }

    #[test]
    fn whoever_was_silent_for_long_keeps_their_number_and_memory_does_not_grow() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, times(0, 20));
        heard(&mut ledger, times(1, 12));
        // Twice as much speech as is kept, in turns of one to nine seconds.
        for turn in 0..240 {
            heard(&mut ledger, times(1 + turn % 3, 2 + turn * 7 % 17));
        }
        assert!(ledger.pieces.len() < KEPT_PIECES + FORGOTTEN_AT_ONCE);
        assert!(ledger.groups.all().len() <= 200 && ledger.sums.len() <= MOST_PEOPLE);
        heard(&mut ledger, times(0, 3));
        ledger.end();
        assert_eq!(told(&ledger), [(0, 0), (1, 1), (2, 2), (3, 3)]);
        assert!(ledger.merges().is_empty());
    }

    #[test]
    fn noise_is_nobody_for_long_and_takes_no_number_from_anybody() {
        let mut ledger = nobody(&Diarization::default());
        heard(&mut ledger, times(0, 30));
        let mut noise = Noise(3);
        for at in 0..600 {
            let strange = unit((0..NUMBERS).map(|_| noise.next()).collect());
            ledger.take(Piece { at: 2_000 + at * 50, hops: 130, voice: strange });
        }
        heard(&mut ledger, times(0, 30));
        assert_eq!(told(&ledger), [(0, 0)]);
    }

    #[test]
    fn nothing_heard_is_nobody() {
        let mut ledger = nobody(&Diarization::default());
        ledger.end();
        assert!(told(&ledger).is_empty() && ledger.generation() == 0);
    }
}
