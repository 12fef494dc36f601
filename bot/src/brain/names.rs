//! Names: who can be meant by a word. Those in the room, and first names that are common in either language.

use std::collections::BTreeMap;

use media::id::ParticipantId;

use super::{Owner, sentence::Speaker, tokens::Token};

/// The people of a conversation; at most [`REMEMBERED`] of them.
#[derive(Debug, Default)]
pub(super) struct Names {
    participants: BTreeMap<ParticipantId, Person>,
    /// Names in order of appearance, participants or not.
    seen: Vec<String>,
    /// The parts of those names in lower case; true for those that stand first.
    parts: BTreeMap<String, bool>,
}

#[derive(Debug, Default)]
struct Person {
    name: Option<String>,
    present: bool,
}

impl Names {
    /// Somebody came in or changed their name.
    pub(super) fn joined(&mut self, participant: ParticipantId, name: Option<String>) {
        if let Some(name) = &name {
            self.saw(name);
        }
        if self.participants.len() >= REMEMBERED && !self.participants.contains_key(&participant) {
            return;
        }
        let person = self.participants.entry(participant).or_default();
        person.present = true;
        if name.is_some() {
            person.name = name;
        }
    }

    /// Somebody went; the name still resolves.
    pub(super) fn left(&mut self, participant: ParticipantId) {
        if let Some(person) = self.participants.get_mut(&participant) {
            person.present = false;
        }
    }

    /// A speaker's name was given with their words.
    pub(super) fn saw(&mut self, name: &str) {
        if !name.is_empty() && self.seen.len() < REMEMBERED && !self.seen.iter().any(|seen| seen == name) {
            self.seen.push(name.to_owned());
            // A voice without a name of its own ("Board room, voice 2") makes nobody of the words "voice" and "2".
            let named = name.split_once(", voice ").map_or(name, |(line, _)| line);
            for (at, part) in named.split_whitespace().enumerate() {
                *self.parts.entry(part.to_lowercase()).or_default() |= at == 0;
            }
        }
    }

    /// Somebody is called otherwise from now on; the old name is nobody's then.
    pub(super) fn renamed(&mut self, from: &str, to: &str) {
        self.seen.retain(|seen| seen != from);
        self.saw(to);
    }

    /// The name of a participant.
    pub(super) fn of(&self, participant: ParticipantId) -> Option<&str> {
        self.participants.get(&participant)?.name.as_deref()
    }

    /// All names, in order of appearance.
    pub(super) fn all(&self) -> &[String] {
        &self.seen
    }

    /// The one other participant who is present besides `speaker`, when there is exactly one.
    pub(super) fn other_than(&self, speaker: &Speaker) -> Option<Owner> {
        let speaker = speaker.participant?;
        let mut others = self.participants.iter().filter(|(id, person)| person.present && **id != speaker);
        let (id, person) = others.next()?;
        others.next().is_none().then(|| Owner::Person { participant: Some(*id), name: person.name.clone() })
    }

    /// Whoever is called `name`: a participant by their full or first name, else somebody outside the room.
    pub(super) fn resolve(&self, name: &str) -> Owner {
        let lower = name.to_lowercase();
        let called = |full: &str| {
            let full = full.to_lowercase();
            full == lower || full.split_whitespace().next() == Some(&lower)
        };
        let mut found = self.participants.iter().filter(|(_, person)| person.name.as_deref().is_some_and(called));
        if let (Some((id, person)), None) = (found.next(), found.next()) {
            return Owner::Person { participant: Some(*id), name: person.name.clone() };
        }
        let known = self.seen.iter().find(|seen| called(seen)).cloned();
        Owner::Person { participant: None, name: Some(known.unwrap_or_else(|| name.to_owned())) }
    }

    /// Whether `token` surely names a person.
    pub(super) fn knows(&self, token: &Token) -> bool {
        is_first_name(&token.norm) || self.parts.contains_key(&token.norm)
    }

    /// Whether `token` is the family name of somebody in the conversation.
    pub(super) fn knows_family(&self, token: &Token) -> bool {
        self.parts.get(&token.norm) == Some(&false)
    }
}

/// Whether `word`, in small letters, is a common first name.
pub(super) fn is_first_name(word: &str) -> bool {
    FIRST_NAMES.binary_search(&word).is_ok()
}

/// How many people one conversation remembers; more are heard, but their names resolve to nobody in the room.
const REMEMBERED: usize = 512;

/// First names that are common where the two languages are spoken and are no other common word. Sorted.
#[rustfmt::skip]
const FIRST_NAMES: &[&str] = &[
    "aaron", "adam", "ahmed", "aisha", "alan", "alex", "alexander", "alexandra", "ali", "alice", "amanda", "amir",
    "amy", "ana", "andrea", "andreas", "andrew", "anja", "anke", "anna", "anne", "anton", "antonia", "ayşe",
    "barbara", "ben", "benjamin", "bernd", "bernhard", "beth", "bettina", "birgit", "björn", "bob", "brian", "bruno",
    "carl", "carla", "carlos", "carmen", "caroline", "catherine", "charlotte", "chloe", "chris", "christian",
    "christina", "christine", "christoph", "claire", "clara", "claudia", "clemens", "dan", "daniel", "daniela",
    "david", "deborah", "dennis", "diana", "dieter", "dirk", "dominik", "dora", "doris", "edward", "elena", "elias",
    "elisabeth", "elizabeth", "ella", "ellen", "emily", "emma", "eric", "erik", "eva", "fabian", "fatima", "felix",
    "finn", "florian", "frank", "franziska", "fritz", "gabi", "gabriel", "georg", "george", "gerd", "gerhard", "greg",
    "günter", "hanna", "hannah", "hannes", "hans", "harald", "harry", "heike", "heiko", "heinz", "helen", "helena",
    "helga", "henrik", "henry", "holger", "ian", "ibrahim", "ines", "ingo", "ingrid", "isabel", "isabella", "jack",
    "jacob", "jakob", "james", "jan", "jana", "jane", "janine", "jasmin", "jason", "javier", "jennifer", "jenny",
    "jens", "jessica", "jim", "joachim", "joe", "johanna", "johannes", "john", "jon", "jonas", "jonathan", "josef",
    "joseph", "josh", "joshua", "juan", "judith", "julia", "julian", "juliane", "justin", "jörg", "jürgen", "kai",
    "karen", "karin", "karl", "karla", "kate", "katharina", "kathrin", "katie", "katja", "kenji", "kerstin", "kevin",
    "kim", "kirsten", "klaus", "konrad", "kristina", "lara", "larry", "laura", "lea", "lena", "leo", "leon", "leonie",
    "lily", "linda", "lisa", "liz", "louis", "luca", "lucas", "lucy", "luis", "luise", "lukas", "maja", "manuel",
    "manuela", "marcel", "marco", "marcus", "maria", "marie", "marina", "mario", "marion", "markus", "marta",
    "martha", "martin", "martina", "mary", "mateo", "mathias", "matt", "matthew", "matthias", "max", "maximilian",
    "maya", "mehmet", "melanie", "mia", "michael", "michaela", "miguel", "mike", "miriam", "mohammed", "monica",
    "monika", "moritz", "nadine", "nancy", "natalie", "nathan", "nick", "nicolas", "nicole", "niklas", "nina", "noah",
    "nora", "olaf", "oliver", "olivia", "omar", "oskar", "pam", "patricia", "patrick", "paul", "paula", "pavel",
    "pedro", "peter", "petra", "philip", "philipp", "pia", "priya", "rachel", "raj", "ralf", "rebecca", "regina",
    "renate", "richard", "rob", "robert", "robin", "roland", "roman", "ronald", "ruth", "ryan", "sabine", "sabrina",
    "sally", "sam", "samantha", "samuel", "sandra", "sara", "sarah", "sascha", "scott", "sebastian", "silke",
    "silvia", "simon", "simone", "sofia", "sonja", "sophia", "sophie", "stefan", "stefanie", "stephan", "stephanie",
    "stephen", "steve", "steven", "sue", "susan", "susanne", "sven", "sylvia", "tanja", "tanya", "teresa", "theo",
    "thomas", "tim", "tina", "tobias", "tom", "tomasz", "tony", "torsten", "ulrich", "ulrike", "ursula", "ute", "uwe",
    "valentina", "vanessa", "vera", "veronika", "victor", "victoria", "viktor", "vincent", "volker", "walter", "wei",
    "werner", "wolfgang", "yuki", "yusuf", "zoe",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_without_a_name_makes_no_name_of_the_word() {
        let mut names = Names::default();
        names.saw("Ada Lovelace, voice 2");
        assert_eq!(names.all(), ["Ada Lovelace, voice 2"]);
        let parts: Vec<&str> = names.parts.keys().map(String::as_str).collect();
        assert_eq!(parts, ["ada", "lovelace"]);
    }
}
