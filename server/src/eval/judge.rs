//! What was observed of a line, held against what the script expects of it. Pure.

use std::time::Duration;

use serde_json::{Map, Value};

use super::script::{Expected, Line, Wanted};

/// What came of one line; the first of a conversation is the agent's greeting.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    /// Whether the caller did it at all: not where the agent had hung up before.
    pub(crate) was_done: bool,
    /// What the ears made of it.
    pub(crate) heard: String,
    /// What the caller wants by that, of the persona's intents.
    pub(crate) intents: Vec<String>,
    /// What was heard of the answer.
    pub(crate) answer: String,
    /// What was ready to be said and was not heard, where the answer was cut.
    pub(crate) unheard: Option<String>,
    /// What the agent called.
    pub(crate) tools: Vec<Called>,
    /// From the end of what the caller did to the first sound of the answer.
    pub(crate) latency: Option<Duration>,
    /// Whether that sound was only a word to bridge the wait.
    pub(crate) is_bridged: bool,
    /// Whether the agent spoke while the caller did.
    pub(crate) spoke_over: bool,
    /// From the first sound over the answer before to the last of that one; nothing where it went on.
    pub(crate) stopped: Option<Duration>,
    /// Whether the answer before was cut by this line, as the agent has it.
    pub(crate) cut_before: bool,
    /// Whether the model was later told words that nobody had heard.
    pub(crate) is_misremembered: bool,
    /// Whether all of the answer came, and was over in time.
    pub(crate) is_complete: bool,
    /// Whether the agent hung up.
    pub(crate) hung_up: bool,
    /// What the scripted model was asked and had no answer to.
    pub(crate) unknown: Vec<String>,
    /// What failed on the way: a model, a voice.
    pub(crate) troubles: Vec<String>,
}

/// A tool that was called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called {
    /// Which.
    pub(crate) name: String,
    /// What it was asked; not seen of tools that the script did not bring along.
    pub(crate) arguments: Option<Map<String, Value>>,
}

/// What of a line was not as it should be, a sentence each; `slack` is how often a budget of time may be used up.
pub(crate) fn judge(line: &Line, observed: &Observed, slack: f64) -> Vec<String> {
    if !observed.was_done {
        return vec!["it never came to this: the conversation was over".to_owned()];
    }
    let mut misses = expected(&line.expected, observed, slack);
    if line.interrupts.is_some() {
        misses.extend(interruption(&line.expected, observed, slack));
    }
    misses
}

/// The same for the agent's first words.
pub(crate) fn judge_greeting(greeting: &Expected, observed: &Observed) -> Vec<String> {
    expected(greeting, observed, 1.0)
}

fn expected(expected: &Expected, observed: &Observed, slack: f64) -> Vec<String> {
    let mut misses = Vec::new();
    let mut miss = |what: String| misses.push(what);
    for asked in &observed.unknown {
        miss(format!("no [[model]] answers {asked:?}"));
    }
    for trouble in &observed.troubles {
        miss(format!("trouble: {trouble}"));
    }
    let is_answered = observed.latency.is_some() || !observed.answer.is_empty();
    match (expected.answers, is_answered) {
        (true, false) => miss("nothing was answered".to_owned()),
        (true, true) if !observed.is_complete => miss("the answer did not come to its end in time".to_owned()),
        (false, true) => miss(format!("it answered: {:?}", observed.answer)),
        (true, true) | (false, false) => {}
    }
    if observed.spoke_over {
        miss("it spoke before the caller was done".to_owned());
    }
    for phrase in expected.words.iter().filter(|phrase| !phrase.is_in(&observed.answer)) {
        miss(format!("not said: {phrase}"));
    }
    for phrase in expected.no_words.iter().filter(|phrase| phrase.is_in(&observed.answer)) {
        miss(format!("said, and must not be: {phrase}"));
    }
    if let Some(wanted) = &expected.tools {
        tools(wanted, &observed.tools).into_iter().for_each(&mut miss);
    }
    if let Some(wanted) = &expected.intents {
        let missing = wanted.iter().filter(|intent| !observed.intents.contains(intent));
        missing.for_each(|intent| miss(format!("not understood: {intent}")));
        let others = observed.intents.iter().filter(|intent| !wanted.contains(intent));
        others.for_each(|intent| miss(format!("understood, and must not be: {intent}")));
    }
    if let (Some(within), Some(latency)) = (expected.within, observed.latency)
        && latency > within.mul_f64(slack)
    {
        miss(format!("{} ms to the first sound; {} at most", latency.as_millis(), within.mul_f64(slack).as_millis()));
    }
    match (expected.hangs_up, observed.hung_up) {
        (true, false) => miss("it did not hang up".to_owned()),
        (false, true) => miss("it hung up".to_owned()),
        (true, true) | (false, false) => {}
    }
    misses
}

/// The answer before was cut, in time, and is remembered as it was heard.
fn interruption(expected: &Expected, observed: &Observed, slack: f64) -> Vec<String> {
    let mut misses = Vec::new();
    let most = expected.stops_within.mul_f64(slack);
    match observed.stopped {
        None => misses.push("the answer before went on".to_owned()),
        Some(stopped) if stopped > most => {
            misses.push(format!("silent only after {} ms; {} at most", stopped.as_millis(), most.as_millis()));
        }
        Some(_) => {}
    }
    if !observed.cut_before {
        misses.push("the answer before was not cut: all of it had been said, or it was no interruption".to_owned());
    }
    if observed.is_misremembered {
        misses.push("the model was told that the caller heard what was cut".to_owned());
    }
    misses
}

/// Each wanted call was made, and no other.
fn tools(wanted: &[Wanted], called: &[Called]) -> Vec<String> {
    let mut left: Vec<&Called> = called.iter().collect();
    let mut misses = Vec::new();
    for wanted in wanted {
        let is_it = |called: &&Called| {
            let arguments = called.arguments.as_ref();
            called.name == wanted.name
                && (wanted.arguments.is_empty()
                    || arguments.is_some_and(|arguments| holds(&wanted.arguments, arguments)))
        };
        match left.iter().position(is_it) {
            Some(at) => _ = left.remove(at),
            None => misses.push(format!("not called: {}", shown(&wanted.name, Some(&wanted.arguments)))),
        }
    }
    misses.extend(left.into_iter().map(|called| format!("called, and must not be: {}", called.shown())));
    misses
}

impl Called {
    /// What the report shows.
    pub(crate) fn shown(&self) -> String {
        shown(&self.name, self.arguments.as_ref())
    }
}

fn shown(name: &str, arguments: Option<&Map<String, Value>>) -> String {
    match arguments.filter(|arguments| !arguments.is_empty()) {
        Some(arguments) => {
            let each = arguments.iter().map(|(key, value)| format!("{key}: {value}"));
            format!("{name}({})", each.collect::<Vec<_>>().join(", "))
        }
        None => name.to_owned(),
    }
}

/// Whether all of `wanted` is in `all`.
fn holds(wanted: &Map<String, Value>, all: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, wanted)| all.get(key).is_some_and(|value| is_same(wanted, value)))
}

/// Capitals and the kind of a number make no difference; of objects the wanted part counts.
fn is_same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::String(wanted), Value::String(value)) => wanted.trim().to_lowercase() == value.trim().to_lowercase(),
        (Value::Number(wanted), Value::Number(value)) => wanted == value || wanted.as_f64() == value.as_f64(),
        (Value::Object(wanted), Value::Object(all)) => holds(wanted, all),
        (Value::Array(wanted), Value::Array(values)) => {
            wanted.len() == values.len() && wanted.iter().zip(values).all(|(wanted, value)| is_same(wanted, value))
        }
        _ => wanted == value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eval::script::Script;

    fn with(more: &str) -> Line {
        let text =
            format!("[[tool]]\nname = \"hours\"\n[[line]]\nsays = \"Hello?\"\n[[line]]\nsays = \"Hours?\"\n{more}");
        Script::parse(&text).unwrap().lines.remove(1)
    }

    fn fine() -> Observed {
        Observed {
            was_done: true,
            heard: "Hours?".to_owned(),
            answer: "We are open from nine to five.".to_owned(),
            latency: Some(Duration::from_millis(700)),
            is_complete: true,
            ..Observed::default()
        }
    }

    fn called(arguments: Value) -> Called {
        Called { name: "hours".to_owned(), arguments: arguments.as_object().cloned() }
    }

    #[test]
    fn a_line_without_wishes_is_fine_with_any_answer_and_not_with_none() {
        assert!(judge(&with(""), &fine(), 1.0).is_empty());
        let none = Observed { answer: String::new(), latency: None, is_complete: false, ..fine() };
        assert_eq!(judge(&with(""), &none, 1.0), ["nothing was answered"]);
        assert_eq!(judge(&with(""), &Observed::default(), 1.0).len(), 1);
        assert!(judge(&with("answers = false\n"), &none, 1.0).is_empty());
        assert_eq!(judge(&with("answers = false\n"), &fine(), 1.0).len(), 1);
    }

    #[test]
    fn words_budgets_and_the_end_of_the_call_are_judged() {
        let line = with("words = [\"nine | 9\", \"ten\"]\nno_words = [\"open\"]\nwithin_ms = 600\nhangs_up = true\n");
        let misses = judge(&line, &fine(), 1.0);
        let said = [
            "not said: ten",
            "said, and must not be: open",
            "700 ms to the first sound; 600 at most",
            "it did not hang up",
        ];
        assert_eq!(misses, said);
        assert_eq!(judge(&line, &fine(), 2.0).len(), 3, "with slack it is in time");
        let hung_up = Observed { hung_up: true, spoke_over: true, ..fine() };
        assert_eq!(judge(&with(""), &hung_up, 1.0), ["it spoke before the caller was done", "it hung up"]);
    }

    #[test]
    fn each_wanted_call_is_made_once_and_no_other() {
        let line = with("tools = [{ name = \"hours\", arguments = { day = \"Friday\", count = 2 } }]\n");
        let asked = |tools: Vec<Called>| judge(&line, &Observed { tools, ..fine() }, 1.0);
        let right = called(json!({"day": " friday", "count": 2.0, "more": [1]}));
        assert!(asked(vec![right.clone()]).is_empty());
        let none = asked(vec![]);
        let [miss] = &none[..] else { panic!("one call is missing: {none:?}") };
        assert!(miss.starts_with("not called: hours(") && miss.contains("Friday"), "{miss}");
        assert_eq!(asked(vec![right.clone(), right]).len(), 1);
        assert_eq!(asked(vec![called(json!({"day": "Monday", "count": 2}))]).len(), 2);
        let none = with("tools = []\n");
        assert!(judge(&none, &fine(), 1.0).is_empty());
    }

    #[test]
    fn what_the_caller_wants_is_what_is_expected() {
        let line = with("intents = [\"hours\"]\n");
        let understood = |intents: &[&str]| {
            let intents = intents.iter().map(|intent| (*intent).to_owned()).collect();
            judge(&line, &Observed { intents, ..fine() }, 1.0)
        };
        assert!(understood(&["hours"]).is_empty());
        assert_eq!(understood(&["table"]), ["not understood: hours", "understood, and must not be: table"]);
    }

    #[test]
    fn an_interruption_stops_the_answer_in_time_and_is_remembered_as_it_was_heard() {
        let line = with("interrupts_after_ms = 500\nstops_within_ms = 300\n");
        let cut = Observed { cut_before: true, stopped: Some(Duration::from_millis(200)), ..fine() };
        assert!(judge(&line, &cut, 1.0).is_empty());
        let late = Observed { stopped: Some(Duration::from_millis(400)), ..cut.clone() };
        assert_eq!(judge(&line, &late, 1.0), ["silent only after 400 ms; 300 at most"]);
        let wrong = Observed { stopped: None, cut_before: false, is_misremembered: true, ..cut };
        assert_eq!(judge(&line, &wrong, 1.0).len(), 3);
    }

    #[test]
    fn what_failed_on_the_way_is_told() {
        let failed =
            Observed { unknown: vec!["And then?".to_owned()], troubles: vec!["the voice failed".to_owned()], ..fine() };
        assert_eq!(judge(&with(""), &failed, 1.0), ["no [[model]] answers \"And then?\"", "trouble: the voice failed"]);
    }
}
