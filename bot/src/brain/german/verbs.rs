//! The verbs of German that are work, and their forms.
//!
//! `an|rufen` is a separable verb. Weak verbs follow their infinitive; of strong ones [`STRONG`] gives the
//! third person and the imperative, [`PARTICIPLES`] the participle. All forms are built once.

use std::{collections::HashMap, sync::LazyLock};

use super::super::tokens::Token;

/// Which form of a verb a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    /// "ich schicke"
    First,
    /// "du schickst"
    Second,
    /// "Anna schickt"
    Third,
    /// "wir schicken", "schicken Sie"
    Plural,
    /// "schick", "schicke"
    Imperative,
}

/// A verb that is found in a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verb {
    /// Its infinitive, prefix included.
    pub(super) infinitive: String,
    /// Whether it is work only when a date makes it definite.
    pub(super) weak: bool,
}

/// The verb whose finite form `token` is, with the separated prefix that ends its clause, if any.
pub(super) fn finite(token: &Token, person: Person, prefix: Option<&str>) -> Option<Verb> {
    let bases = FORMS.finite.get(token.norm.as_str())?;
    bases.iter().filter(|(of, _)| *of == person).find_map(|(_, base)| {
        let whole = prefix.map(|prefix| format!("{prefix}{base}"));
        whole.and_then(|whole| known(&whole)).or_else(|| known(base))
    })
}

/// Whether `word` is that form of any verb, whichever its prefix.
pub(super) fn may_be_finite(word: &str, person: Person) -> bool {
    FORMS.finite.get(word).is_some_and(|bases| bases.iter().any(|(of, _)| *of == person))
}

/// Whether `word` is an infinitive with "zu" inside ("vorzubereiten").
pub(super) fn is_with_zu(word: &str) -> bool {
    FORMS.with_zu.contains_key(word)
}

/// The verb whose infinitive `token` is, with or without "zu" inside.
pub(super) fn infinitive(token: &Token) -> Option<Verb> {
    known(&token.norm).or_else(|| known(FORMS.with_zu.get(&token.norm)?))
}

/// The verb whose past participle `token` is.
pub(super) fn participle(token: &Token) -> Option<Verb> {
    known(FORMS.participles.get(&token.norm)?)
}

/// Whether `word` can stand at the end of a clause as a separated prefix.
pub(super) fn is_prefix(word: &str) -> bool {
    PREFIXES.contains(&word)
}

fn known(infinitive: &str) -> Option<Verb> {
    FORMS.infinitives.get(infinitive).map(|weak| Verb { infinitive: infinitive.to_owned(), weak: *weak })
}

/// Looked up, never iterated.
struct Forms {
    infinitives: HashMap<String, bool>,
    finite: HashMap<String, Vec<(Person, &'static str)>>,
    with_zu: HashMap<String, String>,
    participles: HashMap<String, String>,
}

static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    let mut forms = Forms {
        infinitives: HashMap::new(),
        finite: HashMap::new(),
        with_zu: HashMap::new(),
        participles: HashMap::new(),
    };
    for (verbs, weak) in [(WORK, false), (WEAK, true)] {
        for verb in verbs {
            forms.add(verb, weak);
        }
    }
    forms
});

impl Forms {
    fn add(&mut self, verb: &'static str, weak: bool) {
        let (prefix, base) = verb.split_once('|').unwrap_or(("", verb));
        let infinitive = format!("{prefix}{base}");
        if !prefix.is_empty() {
            self.with_zu.insert(format!("{prefix}zu{base}"), infinitive.clone());
        }
        self.participles.insert(format!("{prefix}{}", participle_of(base)), infinitive.clone());
        self.infinitives.insert(infinitive, weak);
        for (form, person) in finite_forms(base) {
            let bases = self.finite.entry(form).or_default();
            if !bases.contains(&(person, base)) {
                bases.push((person, base));
            }
        }
    }
}

fn finite_forms(base: &'static str) -> Vec<(String, Person)> {
    let stem = stem_of(base);
    let needs_e = stem.ends_with(['t', 'd']) || ["chn", "ffn", "gn", "tm"].iter().any(|end| stem.ends_with(end));
    let e = if needs_e { "e" } else { "" };
    let mut forms =
        vec![(base.to_owned(), Person::Plural), (format!("{stem}e"), Person::First), (stem.to_owned(), Person::First)];
    if let Some(short) = base.strip_suffix("eln") {
        forms.push((format!("{short}le"), Person::First));
        forms.push((format!("{short}le"), Person::Imperative));
    }
    forms.push((format!("{stem}e"), Person::Imperative));
    forms.push((format!("{stem}{e}t"), Person::Imperative));
    match STRONG.iter().find(|(verb, ..)| *verb == base) {
        Some((_, third, imperative)) => {
            forms.push(((*third).to_owned(), Person::Third));
            forms.push(((*imperative).to_owned(), Person::Imperative));
            let second = third.strip_suffix('t').unwrap_or(third);
            let ending = if second.ends_with('s') { "t" } else { "st" };
            forms.push((format!("{second}{ending}"), Person::Second));
        }
        None => {
            forms.push((format!("{stem}{e}t"), Person::Third));
            let s = if stem.ends_with(['s', 'ß', 'z', 'x']) { "" } else { "s" };
            forms.push((format!("{stem}{e}{s}t"), Person::Second));
            forms.push((stem.to_owned(), Person::Imperative));
        }
    }
    forms
}

fn participle_of(base: &str) -> String {
    if let Some((_, participle)) = PARTICIPLES.iter().find(|(verb, _)| *verb == base) {
        return (*participle).to_owned();
    }
    let stem = stem_of(base);
    let e = if stem.ends_with(['t', 'd']) || stem.ends_with("chn") || stem.ends_with("ffn") { "e" } else { "" };
    let without_ge = base.ends_with("ieren") || INSEPARABLE.iter().any(|prefix| base.starts_with(prefix));
    if without_ge { format!("{stem}{e}t") } else { format!("ge{stem}{e}t") }
}

fn stem_of(infinitive: &str) -> &str {
    infinitive.strip_suffix("en").or_else(|| infinitive.strip_suffix('n')).unwrap_or(infinitive)
}

#[rustfmt::skip]
const INSEPARABLE: &[&str] = &[
    "be", "ver", "er", "ent", "zer", "ge", "über", "unter", "wieder",
];

#[rustfmt::skip]
const PREFIXES: &[&str] = &[
    "ab", "an", "auf", "aus", "bei", "durch", "ein", "fertig", "fest", "frei", "her", "hin", "hoch", "los", "mit",
    "nach", "raus", "rein", "rum", "um", "vor", "weg", "weiter", "zu", "zurück", "zusammen", "rüber", "bereit",
    "runter", "heraus", "herum", "klar", "voran", "durch", "dazu", "sicher", "vorbei", "nieder",
];

/// Surely work.
#[rustfmt::skip]
const WORK: &[&str] = &[
    "machen", "fragen", "schicken", "zu|schicken", "ab|schicken", "nach|schicken", "rum|schicken", "herum|schicken",
    "rüber|schicken", "weiter|schicken", "zurück|schicken", "mit|schicken", "raus|schicken", "senden", "zu|senden",
    "ab|senden", "weiter|leiten", "ein|leiten", "mailen", "schreiben", "auf|schreiben", "um|schreiben",
    "aus|schreiben", "zusammen|schreiben", "an|schreiben", "unterschreiben", "beschreiben", "verschicken",
    "versenden", "vor|bereiten", "nach|bereiten", "auf|bereiten", "erstellen", "bereit|stellen", "fertig|stellen",
    "ein|stellen", "zusammen|stellen", "vor|stellen", "um|stellen", "sicher|stellen", "bestellen", "ab|bestellen",
    "aus|stellen", "buchen", "um|buchen", "reservieren", "organisieren", "planen", "ein|planen", "vereinbaren",
    "ab|stimmen", "koordinieren", "terminieren", "ein|laden", "aus|laden", "hoch|laden", "herunter|laden",
    "runter|laden", "an|rufen", "zurück|rufen", "ein|berufen", "informieren", "benachrichtigen", "erinnern",
    "kontaktieren", "melden", "zurück|melden", "an|melden", "ab|melden", "nach|fragen", "an|fragen", "ab|fragen",
    "befragen", "beantragen", "beauftragen", "bitten", "klären", "ab|klären", "auf|klären", "erklären", "prüfen",
    "überprüfen", "nach|prüfen", "testen", "aus|probieren", "kontrollieren", "checken", "gegen|checken",
    "analysieren", "aus|werten", "vergleichen", "berechnen", "aus|rechnen", "kalkulieren", "schätzen", "ab|schätzen",
    "bewerten", "messen", "untersuchen", "recherchieren", "heraus|finden", "heraus|suchen", "raus|suchen",
    "zusammen|suchen", "suchen", "aktualisieren", "überarbeiten", "bearbeiten", "aus|arbeiten", "ein|arbeiten",
    "ergänzen", "korrigieren", "ändern", "an|passen", "um|setzen", "ein|setzen", "auf|setzen", "ein|richten",
    "installieren", "konfigurieren", "aus|rollen", "veröffentlichen", "frei|geben", "ab|geben", "weiter|geben",
    "ein|geben", "bekannt|geben", "durch|geben", "zurück|geben", "mit|geben", "raus|geben", "heraus|geben",
    "reparieren", "beheben", "lösen", "fixen", "programmieren", "entwickeln", "implementieren", "bauen", "ein|bauen",
    "um|bauen", "migrieren", "löschen", "entfernen", "auf|räumen", "archivieren", "sichern", "speichern",
    "dokumentieren", "protokollieren", "notieren", "fest|halten", "zusammen|fassen", "zusammen|tragen", "ein|tragen",
    "nach|tragen", "aus|tragen", "vor|tragen", "übertragen", "sammeln", "ein|sammeln", "übersetzen", "präsentieren",
    "vor|legen", "fest|legen", "an|legen", "ab|legen", "bei|legen", "verlegen", "bezahlen", "zahlen", "überweisen",
    "begleichen", "ab|rechnen", "kaufen", "ein|kaufen", "besorgen", "beschaffen", "liefern", "nach|liefern",
    "ab|liefern", "bringen", "mit|bringen", "vorbei|bringen", "ab|holen", "ein|holen", "nach|holen", "holen",
    "kündigen", "verlängern", "verschieben", "stornieren", "ab|sagen", "zu|sagen", "bescheid|sagen", "erledigen",
    "übernehmen", "kümmern", "ab|schließen", "beenden", "fertig|machen", "aus|machen", "ab|machen", "durch|führen",
    "ein|führen", "vor|führen", "durch|gehen", "nach|gehen", "nach|sehen", "an|sehen", "durch|sehen", "an|schauen",
    "nach|schauen", "durch|lesen", "gegen|lesen", "nach|lesen", "korrektur|lesen", "ein|reichen", "nach|reichen",
    "weiter|reichen", "unterzeichnen", "genehmigen", "bestätigen", "beantworten", "antworten", "besprechen",
    "verhandeln", "diskutieren", "verteilen", "teilen", "drucken", "aus|drucken", "scannen", "ein|scannen",
    "kopieren", "veranlassen", "formulieren", "entwerfen", "gestalten", "zeichnen", "skizzieren", "definieren",
    "priorisieren", "delegieren", "zu|weisen", "ein|stellen", "schulen", "begleiten", "betreuen", "überwachen",
    "moderieren", "leiten", "vertreten", "nach|haken", "nach|fassen", "an|stoßen", "auf|nehmen", "aus|wählen",
    "aus|füllen", "auf|füllen", "auf|bauen", "ab|bauen", "an|fertigen", "erfassen", "erarbeiten", "validieren",
    "verifizieren", "exportieren", "importieren", "ausprobieren", "mieten", "an|bieten", "um|ziehen", "putzen",
    "reinigen", "tauschen", "aus|tauschen", "wechseln", "ersetzen", "rückmelden", "kommunizieren", "verfassen",
    "regeln", "verbinden", "zu|ordnen", "aktivieren", "deaktivieren", "frei|schalten", "ab|schalten", "ein|schalten",
    "auf|bereiten", "hinzu|fügen", "ein|fügen", "nach|verfolgen", "eskalieren", "reklamieren", "ein|weisen",
    "aus|gleichen", "ab|gleichen", "zurück|schreiben", "an|kündigen", "durch|rechnen", "nach|rechnen",
    "durch|sprechen", "ab|sprechen", "auf|teilen", "ein|teilen", "mit|teilen", "ab|arbeiten", "nach|bestellen",
    "vor|schlagen", "nach|schlagen", "zurück|setzen", "um|benennen", "benennen", "belegen",
];

/// Work when a date says until when.
#[rustfmt::skip]
const WEAK: &[&str] = &[
    "geben", "nehmen", "sagen", "zeigen", "sprechen", "reden", "lesen", "finden", "setzen", "stellen", "legen",
    "helfen", "schauen", "gucken", "tun", "hin|kriegen", "lassen", "rufen", "laden", "tragen", "halten", "schließen",
    "öffnen", "sorgen", "starten", "an|fangen", "beginnen", "vorbei|kommen", "entscheiden",
];

/// Strong verbs: third person singular, imperative singular.
#[rustfmt::skip]
const STRONG: &[(&str, &str, &str)] = &[
    ("geben", "gibt", "gib"), ("nehmen", "nimmt", "nimm"), ("übernehmen", "übernimmt", "übernimm"),
    ("sprechen", "spricht", "sprich"), ("besprechen", "bespricht", "besprich"), ("laden", "lädt", "lad"),
    ("tragen", "trägt", "trag"), ("übertragen", "überträgt", "übertrag"), ("lesen", "liest", "lies"),
    ("treffen", "trifft", "triff"), ("halten", "hält", "halt"), ("lassen", "lässt", "lass"),
    ("sehen", "sieht", "sieh"), ("messen", "misst", "miss"), ("helfen", "hilft", "hilf"),
    ("vergessen", "vergisst", "vergiss"), ("fahren", "fährt", "fahr"), ("schlagen", "schlägt", "schlag"),
    ("entwerfen", "entwirft", "entwirf"), ("vertreten", "vertritt", "vertritt"), ("tun", "tut", "tu"),
    ("fangen", "fängt", "fang"), ("haben", "hat", "hab"), ("stoßen", "stößt", "stoß"),
];

/// Participles that do not follow the rule.
#[rustfmt::skip]
const PARTICIPLES: &[(&str, &str)] = &[
    ("schreiben", "geschrieben"), ("unterschreiben", "unterschrieben"), ("beschreiben", "beschrieben"),
    ("geben", "gegeben"), ("nehmen", "genommen"), ("übernehmen", "übernommen"), ("besprechen", "besprochen"),
    ("sprechen", "gesprochen"), ("laden", "geladen"), ("rufen", "gerufen"), ("berufen", "berufen"),
    ("tragen", "getragen"), ("übertragen", "übertragen"), ("lesen", "gelesen"), ("treffen", "getroffen"),
    ("halten", "gehalten"), ("bringen", "gebracht"), ("schließen", "geschlossen"), ("gehen", "gegangen"),
    ("sehen", "gesehen"), ("messen", "gemessen"), ("finden", "gefunden"), ("senden", "gesendet"),
    ("versenden", "versendet"), ("überweisen", "überwiesen"), ("begleichen", "beglichen"),
    ("vergleichen", "verglichen"), ("gleichen", "geglichen"), ("verschieben", "verschoben"), ("beheben", "behoben"),
    ("entwerfen", "entworfen"), ("bitten", "gebeten"), ("bieten", "geboten"), ("weisen", "gewiesen"),
    ("schlagen", "geschlagen"), ("ziehen", "gezogen"), ("verbinden", "verbunden"), ("tun", "getan"),
    ("lassen", "gelassen"), ("helfen", "geholfen"), ("benennen", "benannt"), ("vertreten", "vertreten"),
    ("stoßen", "gestoßen"), ("denken", "gedacht"), ("übersetzen", "übersetzt"), ("überprüfen", "überprüft"),
    ("entscheiden", "entschieden"), ("beginnen", "begonnen"), ("bekommen", "bekommen"), ("kommen", "gekommen"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn token(norm: &str) -> Token {
        let word = asr::event::Word { text: norm.to_owned(), span: media::time::Span::default(), confidence: 1.0 };
        super::super::super::tokens::of(&[word], asr::event::UtteranceId(0)).remove(0)
    }

    #[test]
    fn finite_forms_lead_to_the_infinitive() {
        for (form, person, prefix, infinitive) in [
            ("schicke", Person::First, None, "schicken"),
            ("rufe", Person::First, Some("an"), "anrufen"),
            ("bereitet", Person::Third, Some("vor"), "vorbereiten"),
            ("übernimmt", Person::Third, None, "übernehmen"),
            ("lädt", Person::Third, Some("ein"), "einladen"),
            ("sammle", Person::First, None, "sammeln"),
            ("kümmere", Person::First, None, "kümmern"),
            ("gib", Person::Imperative, Some("frei"), "freigeben"),
            ("schickst", Person::Second, None, "schicken"),
            ("rechnet", Person::Third, Some("aus"), "ausrechnen"),
        ] {
            let verb = finite(&token(form), person, prefix);
            assert_eq!(verb.map(|verb| verb.infinitive).as_deref(), Some(infinitive), "{form}");
        }
        assert_eq!(finite(&token("bereite"), Person::First, None), None, "a prefix that is missing");
    }

    #[test]
    fn infinitives_with_zu_and_participles_lead_to_the_infinitive() {
        assert_eq!(infinitive(&token("vorzubereiten")).map(|verb| verb.infinitive).as_deref(), Some("vorbereiten"));
        for (form, infinitive) in [
            ("bezahlt", "bezahlen"),
            ("abgeschickt", "abschicken"),
            ("unterschrieben", "unterschreiben"),
            ("aktualisiert", "aktualisieren"),
        ] {
            assert_eq!(participle(&token(form)).map(|verb| verb.infinitive).as_deref(), Some(infinitive), "{form}");
        }
    }
}
