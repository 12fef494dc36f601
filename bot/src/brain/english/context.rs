//! Words around a cue that decide what it is worth, where its clause ends, and what is left out of its text.

/// May stand inside a cue and between cue and verb ("I will definitely send").
#[rustfmt::skip]
pub(super) const ADVERBS: &[&str] = &[
    "also", "just", "then", "definitely", "certainly", "probably", "quickly", "personally", "gladly", "happily",
    "still", "now", "really", "actually", "simply", "gonna", "um", "uh", "erm", "hmm", "like", "maybe", "possibly",
    "first", "immediately", "again", "all", "both", "either", "kindly", "instead", "therefore", "obviously", "too",
    "well", "quick", "absolutely", "surely", "finally",
];

/// Sounds that never belong to a text.
pub(super) const FILLERS: &[&str] = &["um", "uh", "erm", "hmm", "please", "kindly"];

/// May stand before a name that is called or before a clause ("okay so Anna, could you").
#[rustfmt::skip]
pub(super) const ADDRESS_FILLERS: &[&str] = &[
    "hey", "hi", "hello", "okay", "ok", "so", "and", "then", "well", "right", "alright", "yes", "yeah", "yep", "sure",
    "now", "um", "uh", "oh", "great", "good", "perfect", "fine", "thanks", "also", "but", "no", "worries", "problem",
];

/// Take the force out of whatever follows them.
#[rustfmt::skip]
pub(super) const NEGATIONS: &[&str] = &[
    "not", "never", "nobody", "no-one", "neither", "nor", "without", "hardly",
];

/// A clause that begins so promises nothing by itself.
#[rustfmt::skip]
pub(super) const CONDITIONALS: &[&str] = &[
    "if", "unless", "whether", "suppose", "supposing", "imagine", "whenever", "wish", "in-case", "once", "until",
    "till",
];

/// Questions and free relatives.
#[rustfmt::skip]
pub(super) const WH_WORDS: &[&str] = &[
    "who", "what", "which", "where", "when", "why", "how", "whose", "whatever", "whoever",
];

/// Somebody else's words follow.
#[rustfmt::skip]
pub(super) const REPORTS: &[&str] = &[
    "said", "says", "told", "tells", "asked", "wrote", "claimed", "claims", "mentioned", "thought", "heard",
    "announced", "quote", "explained", "argued", "insists", "insisted",
];

/// Too vague to hold anybody to.
#[rustfmt::skip]
pub(super) const HEDGES: &[&str] = &[
    "maybe", "perhaps", "might", "wondering", "theoretically", "ideally",
];

/// Before "that", what follows is the speaker's own statement.
#[rustfmt::skip]
pub(super) const ATTITUDES: &[&str] = &[
    "think", "so", "sure", "suppose", "guess", "suggest", "propose", "agree", "agreed", "confirm", "promise",
    "believe", "decided", "mean", "note", "noted", "hope", "is", "say", "clear", "important",
];

/// Frequency makes a habit, not a task.
#[rustfmt::skip]
pub(super) const HABITS: &[&str] = &[
    "always", "usually", "normally", "typically", "generally", "often", "sometimes", "never", "every", "each",
    "regularly", "generally",
];

/// After these the date that follows replaces the one before.
#[rustfmt::skip]
pub(super) const CORRECTIONS: &[&str] = &[
    "no", "sorry", "mean", "actually", "rather", "correction", "wait",
];

/// Begin another clause, with or without a comma.
#[rustfmt::skip]
pub(super) const BREAKERS: &[&str] = &[
    "but", "because", "so", "although", "though", "while", "whereas", "otherwise", "if", "unless", "since", "cause",
    "cuz",
];

/// Begin another clause after a comma.
#[rustfmt::skip]
pub(super) const COMMA_BREAKERS: &[&str] = &[
    "which", "who", "okay", "ok", "right", "yeah", "yes", "no", "thanks", "thank", "that", "this", "there", "let",
    "can", "could", "would", "will", "what", "how", "when", "where", "sorry", "maybe", "please", "do", "does", "is",
    "are", "hopefully", "at",
];

/// Separate clauses when searched for backwards from a cue.
#[rustfmt::skip]
pub(super) const CLAUSE_CONJUNCTIONS: &[&str] = &[
    "and", "but", "so", "because", "since", "although", "or", "while",
];

/// Subjects that begin a clause.
#[rustfmt::skip]
pub(super) const SUBJECT_PRONOUNS: &[&str] = &[
    "i", "we", "you", "he", "she", "they", "it", "that's", "everyone", "everybody",
];

/// Verbs that show that the pronoun before them is a subject.
#[rustfmt::skip]
pub(super) const FINITE: &[&str] = &[
    "will", "would", "am", "are", "is", "was", "were", "have", "has", "had", "can", "could", "should", "must", "need",
    "needs", "do", "does", "did", "think", "want", "shall", "guess", "know", "got", "should", "might", "may", "hope",
];

/// Left off the end of a text.
#[rustfmt::skip]
pub(super) const TRAILERS: &[&str] = &[
    "please", "thanks", "thank", "okay", "ok", "right", "yeah", "yes", "then", "too", "and", "or", "then", "well",
    "so", "um", "uh", "today's", "maybe", "sure", "guys", "everyone", "sorry", "no", "wait", "actually", "mean",
    "rather", "i",
];

/// Between cue and verb without meaning of their own.
#[rustfmt::skip]
pub(super) const PREAMBLES: &[&str] = &[
    "go ahead and", "try to", "try and", "be able to", "go and", "make an effort to", "be sure to", "do my best to",
    "have to", "need to",
];

/// Stand before nouns.
#[rustfmt::skip]
pub(super) const DETERMINERS: &[&str] = &[
    "the", "a", "an", "our", "your", "my", "their", "his", "her", "its", "this", "that", "these", "those",
];

/// Groups that can be given work like a person.
#[rustfmt::skip]
pub(super) const TEAMS: &[&str] = &[
    "team", "department", "marketing", "sales", "legal", "finance", "engineering", "support", "accounting",
    "procurement", "hr", "office", "agency", "operations", "logistics", "management", "colleague", "colleagues",
    "group", "design", "assistant",
];

/// Capitalised words that are nobody's name.
#[rustfmt::skip]
pub(super) const NOT_NAMES: &[&str] = &[
    "i", "you", "he", "she", "it", "we", "they", "me", "us", "him", "them", "that", "this", "there", "these", "those",
    "everyone", "everybody", "everything", "nothing", "nobody", "someone", "somebody", "something", "anyone",
    "anybody", "anything", "one", "all", "who", "what", "which", "where", "when", "why", "how", "and", "but", "or",
    "so", "if", "then", "because", "okay", "ok", "yes", "yeah", "no", "please", "thanks", "thank", "hello", "hi",
    "hey", "well", "now", "here", "as", "at", "by", "in", "on", "for", "to", "from", "with", "of", "about", "after",
    "before", "until", "the", "a", "an", "my", "your", "our", "their", "his", "her", "its", "do", "does", "did",
    "can", "could", "would", "will", "should", "shall", "must", "may", "might", "have", "has", "had", "is", "are",
    "was", "were", "be", "been", "not", "sure", "great", "good", "perfect", "right", "alright", "oh", "maybe",
    "perhaps", "also", "just", "let", "sorry", "excuse", "morning", "afternoon", "evening", "today", "tomorrow",
    "yesterday", "next", "sometimes", "however", "meanwhile", "otherwise", "customers", "people", "things", "both",
    "either", "neither", "each", "every", "any", "some", "many", "most", "more", "action", "item", "first", "second",
    "third", "finally", "actually", "fine", "worries", "api", "it's", "guys", "folks", "ladies", "gentlemen", "sir",
    "madam", "server", "system", "website", "app", "that's", "remember", "remind", "german", "english", "time",
    "nice", "cool", "awesome", "god", "wow", "yep", "nope", "sales",
];

/// Small words that no cue has for its verb.
#[rustfmt::skip]
pub(super) const NO_VERBS: &[&str] = &[
    "i", "you", "he", "she", "it", "we", "they", "me", "us", "him", "her", "them", "my", "your", "our", "their",
    "his", "its", "the", "a", "an", "this", "that", "these", "those", "in", "on", "at", "by", "for", "from", "of",
    "with", "about", "to", "and", "or", "but",
];
