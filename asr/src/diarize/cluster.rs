//! From voices in pieces of 1.6 s to people.
//!
//! Pure. [`Groups`] takes the pieces as they come: each joins the group that it is most like, or begins one. There
//! are more groups than people, since a voice differs with what is said. [`people`] settles them at the end: groups
//! too small to be somebody are left out, those that are one voice become one, and every piece is held against the
//! result again, a few times over. Whoever is left out is nobody's: an unknown voice, not a wrong name.
//!
//! The thresholds were found on recordings of meetings and held against readings by one person, who stays one. Two
//! halves of one person's speech were 0.88 to 0.97 alike, different people of one meeting up to 0.86.

use super::{print::VoicePrint, voice::VoiceKind};

/// How alike a piece must be to a group to join it. Both are unit vectors; the figure is their cosine.
const JOINS: f32 = 0.77;

/// From which likeness on two groups are one person.
const ONE_PERSON: f32 = 0.86;

/// What is less like a person than this is somebody else. Of the pieces by the people themselves one in a hundred is.
pub(super) const STRANGE: f32 = 0.70;

/// Pieces, half a second apart, that make somebody: 5 s of speech. Fewer say too little about a voice.
const LEAST_PIECES: usize = 10;

/// The same where it is known how many people there are: then a group may be small.
const LEAST_PIECES_EXPECTED: usize = 6;

/// People that are told apart in one recording: those who speak most.
pub(super) const MOST_PEOPLE: usize = 20;

/// Groups that are kept at once. When all are taken, what is like none of them joins the likest.
const MOST_GROUPS: usize = 200;

/// Times that every piece is held against the people found so far.
const ROUNDS: usize = 4;

/// A voice in some speech.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    /// The hop in its middle.
    pub(super) at: usize,
    /// How many hops of speech it was made of.
    pub(super) hops: usize,
    /// A unit vector.
    pub(super) voice: Vec<f32>,
}

/// Pieces that are alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Sum of the voices, each weighted with its speech.
    sum: Vec<f32>,
    pub(super) hops: usize,
    pub(super) pieces: usize,
}

impl Group {
    pub(super) fn of(piece: &Piece) -> Self {
        let mut group = Self { sum: vec![0.0; piece.voice.len()], hops: 0, pieces: 0 };
        group.take(piece);
        group
    }

    pub(super) fn take(&mut self, piece: &Piece) {
        for (sum, part) in self.sum.iter_mut().zip(&piece.voice) {
            *sum += part * piece.hops as f32;
        }
        self.hops += piece.hops;
        self.pieces += 1;
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (sum, part) in self.sum.iter_mut().zip(&other.sum) {
            *sum += part;
        }
        self.hops += other.hops;
        self.pieces += other.pieces;
    }

    /// The voice of the whole group, a unit vector.
    pub(super) fn voice(&self) -> Vec<f32> {
        let length = dot(&self.sum, &self.sum).sqrt().max(f32::MIN_POSITIVE);
        self.sum.iter().map(|part| part / length).collect()
    }
}

/// What was heard so far, gathered as it comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
}

impl Groups {
    /// All of them.
    pub(super) fn all(&self) -> &[Group] {
        &self.groups
    }

    /// Puts a piece where it belongs.
    pub(super) fn take(&mut self, piece: &Piece) {
        let likeness =
            |group: &Group| dot(&group.sum, &piece.voice) / dot(&group.sum, &group.sum).sqrt().max(f32::MIN_POSITIVE);
        let likest = self.groups.iter().map(likeness).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        match likest {
            Some((at, alike)) if alike >= JOINS || self.groups.len() >= MOST_GROUPS => self.groups[at].take(piece),
            _ => self.groups.push(Group::of(piece)),
        }
    }
}

/// The voices of the people in these groups, whoever spoke most first. With `expected` there are that many, as far
/// as there are voices at all.
pub(super) fn people(groups: Groups, pieces: &[Piece], expected: Option<usize>) -> Vec<Vec<f32>> {
    let mut groups = groups.groups;
    groups.sort_by_key(|group| std::cmp::Reverse(group.hops));
    let expected = expected.map(|count| count.clamp(1, MOST_PEOPLE));
    let least = if expected.is_some() { LEAST_PIECES_EXPECTED } else { LEAST_PIECES };
    let (large, small): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(|group| group.pieces >= least);
    // Where nobody spoke for long there is one voice, unless more are expected.
    let wanted = large.len().max(expected.unwrap_or(1));
    let likely = large.into_iter().chain(small).take(wanted).collect();

    let mut people = joined(likely, expected);
    people.sort_by_key(|group| std::cmp::Reverse(group.hops));
    people.truncate(MOST_PEOPLE);
    for _ in 0..ROUNDS {
        let found = joined(reassigned(&people, pieces, expected.is_some()), expected);
        if found.is_empty() {
            break;
        }
        people = found;
    }
    people.sort_by_key(|group| std::cmp::Reverse(group.hops));
    people.iter().map(Group::voice).collect()
}

/// Makes one of the two likest groups until none are alike, or there are as many as expected.
fn joined(mut groups: Vec<Group>, expected: Option<usize>) -> Vec<Group> {
    while let Some((alike, kept, gone)) = likest_pair(&groups) {
        let join = match expected {
            Some(count) => groups.len() > count,
            None => alike >= ONE_PERSON,
        };
        if !join {
            break;
        }
        let other = groups.swap_remove(gone);
        groups[kept].join(&other);
    }
    groups
}

/// How alike the two likest groups are, and which: the first lies before the second.
fn likest_pair(groups: &[Group]) -> Option<(f32, usize, usize)> {
    let voices: Vec<Vec<f32>> = groups.iter().map(Group::voice).collect();
    let pairs = (0..voices.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    pairs
        .map(|(first, second)| (dot(&voices[first], &voices[second]), first, second))
        .max_by(|a, b| a.0.total_cmp(&b.0))
}

/// Every piece with whomever it is most like. Strange pieces are nobody's, and so is whoever is left with too few,
/// unless it is known that there is `nobody_else`.
fn reassigned(people: &[Group], pieces: &[Piece], nobody_else: bool) -> Vec<Group> {
    let voices: Vec<Vec<f32>> = people.iter().map(Group::voice).collect();
    let mut found: Vec<Option<Group>> = vec![None; people.len()];
    for piece in pieces {
        let alike = voices.iter().map(|voice| dot(voice, &piece.voice)).enumerate();
        match alike.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((at, alike)) if nobody_else || alike >= STRANGE => match &mut found[at] {
                Some(group) => group.take(piece),
                none => *none = Some(Group::of(piece)),
            },
            _ => {}
        }
    }
    found.into_iter().flatten().filter(|group| nobody_else || group.pieces >= LEAST_PIECES).collect()
}

/// Which known voices the people are.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// For each of the people, their place among the known voices.
    of: Vec<Option<usize>>,
    /// How many voices are known, whether they spoke or not.
    known: usize,
}

impl Names {
    /// Everybody has a number already.
    pub(super) fn given(of: Vec<Option<usize>>) -> Self {
        Self { of, known: 0 }
    }

    /// Which known voice a person is.
    pub(super) fn of(&self, person: usize) -> Option<usize> {
        self.of.get(person).copied().flatten()
    }

    /// How many voices are known.
    pub(super) fn known(&self) -> usize {
        self.known
    }
}

/// Who of the people has which of the `known` voices: the likest first, and nobody two. Whoever is not as like a known
/// voice as one person is to themselves has none.
pub(super) fn names(people: &[Vec<f32>], known: &[VoicePrint], kind: VoiceKind) -> Names {
    let mut names = Names { of: vec![None; people.len()], known: known.len() };
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (person, voice) in people.iter().enumerate() {
        for (at, print) in known.iter().enumerate() {
            if &*print.model == kind.name() && print.voice.len() == voice.len() {
                pairs.push((dot(voice, &print.voice), person, at));
            }
        }
    }
    pairs.retain(|(alike, ..)| *alike >= kind.thresholds().one_person);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, person, at) in pairs {
        if names.of[person].is_none() && !names.of.contains(&Some(at)) {
            names.of[person] = Some(at);
        }
    }
    names
}

/// Cosine of two unit vectors.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that is the same everywhere, in -1..1.
    struct Noise(u32);

    impl Noise {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    /// A piece by somebody: their own direction, with noise that leaves it some 0.9 alike.
    fn piece(who: usize, at: usize, noise: &mut Noise) -> Piece {
        let mut voice: Vec<f32> = (0..32).map(|part| f32::from(part == who) + 0.12 * noise.next()).collect();
        let length = dot(&voice, &voice).sqrt();
        voice.iter_mut().for_each(|part| *part /= length);
        Piece { at, hops: 160, voice }
    }

    fn pieces(who: impl Iterator<Item = usize>) -> Vec<Piece> {
        let mut noise = Noise(7);
        who.enumerate().map(|(at, who)| piece(who, at * 50, &mut noise)).collect()
    }

    fn found(pieces: &[Piece], expected: Option<usize>) -> Vec<Vec<f32>> {
        let mut groups = Groups::default();
        pieces.iter().for_each(|piece| groups.take(piece));
        people(groups, pieces, expected)
    }

    /// Whose direction a voice has.
    fn who(voice: &[f32]) -> usize {
        voice.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
    }

    #[test]
    fn one_speaker_for_an_hour_is_never_split() {
        assert_eq!(found(&pieces(std::iter::repeat_n(3, 7_200)), None).len(), 1);
    }

    #[test]
    fn twelve_speakers_are_twelve_whoever_spoke_most_first() {
        let turns = (0..40).flat_map(|turn| std::iter::repeat_n(turn % 12, if turn % 12 == 5 { 9 } else { 5 }));
        let voices = found(&pieces(turns), None);
        assert_eq!(voices.len(), 12);
        assert_eq!(who(&voices[0]), 5);
    }

    #[test]
    fn whoever_spoke_too_little_is_nobody() {
        let turns = std::iter::repeat_n(0, 40).chain(std::iter::repeat_n(1, LEAST_PIECES - 1));
        let voices = found(&pieces(turns), None);
        assert_eq!(voices.iter().map(|voice| who(voice)).collect::<Vec<_>>(), [0]);
        assert!(voices[0][1] < 0.1, "a stranger's voice is no part of anybody's: {}", voices[0][1]);
    }

    #[test]
    fn a_short_recording_has_a_voice() {
        assert_eq!(found(&pieces(std::iter::repeat_n(2, 3)), None).len(), 1);
    }

    #[test]
    fn as_many_are_told_apart_as_were_expected() {
        let turns = || (0..20).flat_map(|turn| std::iter::repeat_n(turn % 4, 5));
        assert_eq!(found(&pieces(turns()), Some(2)).len(), 2);
        assert_eq!(found(&pieces(turns()), Some(4)).len(), 4);
        // Two who spoke for a moment, and were announced.
        let moments = std::iter::repeat_n(0, 3).chain(std::iter::repeat_n(1, 3));
        assert_eq!(found(&pieces(moments), Some(2)).len(), 2);
    }

    #[test]
    fn never_more_than_twenty_people_nor_groups_without_end() {
        let voices = found(&pieces((0..31).flat_map(|who| std::iter::repeat_n(who, 12))), None);
        assert_eq!(voices.len(), MOST_PEOPLE);
        let mut noise = Noise(1);
        let mut groups = Groups::default();
        for at in 0..2_000 {
            let mut strange: Vec<f32> = (0..256).map(|_| noise.next()).collect();
            let length = dot(&strange, &strange).sqrt();
            strange.iter_mut().for_each(|part| *part /= length);
            groups.take(&Piece { at, hops: 160, voice: strange });
        }
        assert_eq!(groups.groups.len(), MOST_GROUPS);
    }

    #[test]
    fn a_known_voice_is_one_person_and_nobody_has_two() {
        let kind = VoiceKind::Ge2e;
        let voice = |parts: &[f32]| -> Vec<f32> {
            let length = dot(parts, parts).sqrt();
            let mut voice = vec![0.0; 256];
            voice.iter_mut().zip(parts).for_each(|(to, part)| *to = part / length);
            voice
        };
        let print = |model: &str, parts: &[f32]| VoicePrint::new(model, &voice(parts)).unwrap();
        let people = [voice(&[1.0, 0.0, 0.2]), voice(&[0.0, 1.0]), voice(&[1.0])];
        let known = [
            print(kind.name(), &[0.0, 0.0, 0.0, 1.0]),
            print(kind.name(), &[1.0]),
            print("of-another-kind", &[0.0, 1.0]),
        ];
        let found = names(&people, &known, kind);
        // The third is likest; the first, who is nearly as like, stays somebody else.
        assert_eq!([0, 1, 2].map(|person| found.of(person)), [None, None, Some(1)]);
        assert_eq!((found.known(), found.of(9)), (3, None));
    }

    #[test]
    fn nothing_heard_is_nobody() {
        assert!(found(&[], None).is_empty());
        assert!(found(&[], Some(3)).is_empty());
    }
}
