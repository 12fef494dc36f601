//! Words around a German cue that decide what it is worth, where its clause ends, and what its text leaves out.

/// May stand inside a cue.
#[rustfmt::skip]
pub(super) const ADVERBS: &[&str] = &[
    "bitte", "auch", "dann", "noch", "mal", "doch", "also", "jetzt", "halt", "eben", "gleich", "gerne", "gern",
    "natürlich", "auf", "jeden", "fall", "unbedingt", "dringend", "schnell", "selbst", "ja", "äh", "ähm",
    "vielleicht", "schon", "einfach", "nachher", "später", "gegebenenfalls", "wohl", "wirklich", "nur", "zuerst",
    "hier", "kurz", "möglichst",
];

/// Left out of a text wherever they stand.
#[rustfmt::skip]
pub(super) const FILLERS: &[&str] = &[
    "bitte", "auch", "dann", "noch", "mal", "doch", "also", "jetzt", "halt", "eben", "gerne", "gern", "natürlich",
    "äh", "ähm", "ja", "okay", "ok", "wohl", "einfach", "ungefähr", "schon", "hm", "gut", "und", "dringend",
    "unbedingt", "kurz", "klar", "genau", "einverstanden", "nein", "quatsch", "zwar",
];

/// May stand before a clause or a name that is called.
#[rustfmt::skip]
pub(super) const LEAD: &[&str] = &[
    "hey", "hallo", "ja", "okay", "ok", "gut", "also", "und", "dann", "so", "äh", "ähm", "klar", "genau", "alles",
    "super", "prima", "danke", "liebe", "lieber", "du", "na", "jo", "aber", "nein", "natürlich", "gerne", "bitte",
];

/// Take the force out of a clause.
#[rustfmt::skip]
pub(super) const NEGATIONS: &[&str] = &[
    "nicht", "nie", "niemals", "kein", "keine", "keinen", "keinem", "keiner", "niemand", "weder", "kaum", "nichts",
    "ohne", "nimmer",
];

/// A clause that begins so promises nothing by itself.
#[rustfmt::skip]
pub(super) const SUBORDINATORS: &[&str] = &[
    "wenn", "falls", "ob", "als", "bevor", "nachdem", "während", "obwohl", "sofern", "sobald", "solange", "dass",
    "weil", "damit", "indem", "wer", "was", "wie", "warum", "wieso", "weshalb", "wo", "wann", "welche", "welcher",
    "welches", "welchen", "wem", "wen", "die", "der", "das", "den", "deren", "angenommen", "ehe",
];

/// Of these, a clause may begin with an article; with the others it cannot be a main clause.
pub(super) const ARTICLES: &[&str] = &["die", "der", "das", "den"];

/// Begin another clause without a comma before them.
#[rustfmt::skip]
pub(super) const BREAKERS: &[&str] = &[
    "aber", "denn", "weil", "sondern", "damit", "dass", "wenn", "falls", "obwohl", "sonst", "sobald", "nachdem", "ob",
    "bevor", "während",
];

/// Subjects that show, after "und" or a comma, that another clause begins.
#[rustfmt::skip]
pub(super) const SUBJECTS: &[&str] = &[
    "ich", "wir", "du", "er", "es", "ihr", "sie", "man", "jemand", "dann", "da",
];

/// Finite verbs that show it too.
#[rustfmt::skip]
pub(super) const FINITE: &[&str] = &[
    "ist", "sind", "war", "hat", "habe", "haben", "kann", "könnte", "muss", "müssen", "soll", "sollte", "wird",
    "werden", "werde", "geht", "gibt", "passt", "reicht", "wäre", "kannst", "könntest", "können", "könnten",
];

/// Somebody else's words follow, or are meant.
#[rustfmt::skip]
pub(super) const REPORTS: &[&str] = &[
    "sagte", "meinte", "erzählte", "behauptet", "behauptete", "schrieb", "sagt", "meint", "erzählt", "angeblich",
    "hieß", "gemeint",
];

/// Too vague to hold anybody to, or not yet decided.
#[rustfmt::skip]
pub(super) const HEDGES: &[&str] = &[
    "vielleicht", "eventuell", "möglicherweise", "theoretisch", "irgendwann", "hätte", "hätten", "wäre", "wären",
    "würde", "würden", "könnte",
];

/// Frequency makes a habit, not a task; the present makes a report.
#[rustfmt::skip]
pub(super) const HABITS: &[&str] = &[
    "immer", "normalerweise", "meistens", "oft", "manchmal", "üblicherweise", "generell", "jeden", "jede", "jedes",
    "täglich", "wöchentlich", "monatlich", "regelmäßig", "gerade", "grad", "momentan", "gestern", "vorgestern",
    "damals", "vorhin", "früher", "neulich", "letzte", "letzten", "letztes", "montags", "dienstags", "mittwochs",
    "donnerstags", "freitags", "samstags", "selten", "grundsätzlich", "derzeit", "seit",
];

/// After these the date that follows replaces the one before.
#[rustfmt::skip]
pub(super) const CORRECTIONS: &[&str] = &[
    "nein", "quatsch", "sorry", "besser", "moment", "meine", "doch", "beziehungsweise", "korrektur", "eher",
];

/// Groups that can be given work like a person.
#[rustfmt::skip]
pub(super) const TEAMS: &[&str] = &[
    "team", "vertrieb", "buchhaltung", "marketing", "it", "einkauf", "rechtsabteilung", "personalabteilung",
    "entwicklung", "support", "technik", "agentur", "verwaltung", "kollege", "kollegin", "abteilung", "sekretariat",
    "logistik", "redaktion", "geschäftsführung",
];

#[rustfmt::skip]
pub(super) const DETERMINERS: &[&str] = &[
    "der", "die", "das", "den", "dem", "unser", "unsere", "euer", "eure", "mein", "meine", "dein", "deine", "ein",
    "eine",
];

/// Before a family name.
pub(super) const TITLES: &[&str] = &["herr", "frau", "herrn", "dr", "doktor"];

/// Capitalised words before a comma that are nobody's name.
#[rustfmt::skip]
pub(super) const NOT_NAMES: &[&str] = &[
    "ja", "nein", "okay", "ok", "gut", "also", "genau", "klar", "danke", "bitte", "super", "prima", "hallo", "moment",
    "entschuldigung", "sorry", "stimmt", "richtig", "leute", "kollegen", "perfekt", "alles", "dann", "und", "aber",
    "so", "na", "doch", "du", "sie", "ihr", "ich", "wir", "verstehe", "verstanden", "schön", "toll", "natürlich",
    "gerne", "jawohl", "einverstanden", "abgemacht", "heute", "morgen", "übrigens", "apropos", "team", "aufgabe",
    "das", "die", "der", "wenn", "falls", "jemand", "man", "es", "er", "was", "wer", "wann", "wo", "wie", "warum",
    "sagen", "sag", "kunden", "schade", "gott", "wichtig", "erstens", "zweitens", "zuerst", "zunächst",
];

/// Combinations of verb and object that are no work.
#[rustfmt::skip]
pub(super) const NEVER: &[(&str, &str)] = &[
    ("machen", "sorgen"), ("machen", "gedanken"), ("machen", "pause"), ("machen", "schluss"), ("machen", "weiter"),
    ("machen", "feierabend"), ("machen", "sinn"), ("machen", "urlaub"), ("machen", "witz"), ("machen", "spaß"),
    ("teilen", "bildschirm"), ("teilen", "meinung"), ("melden", "wort"), ("geben", "recht"), ("geben", "beispiel"),
    ("vorstellen", "mir"), ("vorstellen", "mich"), ("erinnern", "mich"), ("erinnern", "uns"), ("festhalten", "mal"),
    ("stellen", "frage"), ("sagen", "ehrlich"), ("ansehen", "jetzt"), ("durchgehen", "agenda"),
    ("durchgehen", "tagesordnung"), ("erklären", "jetzt"), ("erklären", "mir"), ("wechseln", "thema"),
    ("ansehen", "folie"), ("anschauen", "folie"), ("übergeben", "wort"), ("kommen", "thema"), ("kommen", "punkt"),
    ("gehen", "punkt"), ("suchen", "gerade"), ("buchstabieren", "namen"), ("teilnehmen", "gern"),
    ("beenden", "sitzung"), ("beenden", "meeting"), ("beenden", "besprechung"), ("einstellen", "darauf"),
    ("vorstellen", "gut"), ("anfangen", "jetzt"), ("melden", "krank"), ("finden", "gut"), ("sehen", "schwarz"),
    ("haben", "zeit"), ("haben", "frage"), ("haben", "termin"), ("haben", "urlaub"), ("wiederholen", "bitte"),
    ("warten", "bitte"), ("verbinden", "jetzt"), ("bringen", "durcheinander"), ("planen", "vorsichtig"),
];

/// Combinations that are work although the verb alone needs a date.
#[rustfmt::skip]
pub(super) const WORK: &[(&str, &str)] = &[
    ("geben", "bescheid"), ("sagen", "bescheid"), ("geben", "rückmeldung"), ("geben", "feedback"),
    ("sprechen", "mit"), ("reden", "mit"), ("setzen", "verbindung"), ("lesen", "durch"), ("halten", "laufenden"),
    ("stellen", "verfügung"), ("sorgen", "dafür"), ("legen", "ordner"), ("stellen", "ordner"), ("zeigen", "kollegen"),
    ("führen", "gespräch"), ("nehmen", "kontakt"), ("finden", "termin"), ("finden", "lösung"), ("finden", "ersatz"),
    ("stellen", "antrag"), ("tragen", "liste"), ("geben", "update"),
];

/// Pronouns that point at what was said before.
pub(super) const ANAPHORS: &[&str] = &["das", "es", "dies", "darum", "drum", "da"];
