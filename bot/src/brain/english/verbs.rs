//! The verbs of English: which are work, which are talk, and their forms.

use super::super::tokens::Token;

/// What a verb says about the clause it heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Work that can be done and be done with.
    Work,
    /// Work only when a date says so.
    Weak,
    /// Not known.
    Unknown,
    /// Talk, perception, states, and what happens in the meeting itself.
    Never,
}

/// The class of the verb `base` with the words of its clause, which begin with it in whatever form.
pub(super) fn classify(base: &str, clause: &[Token]) -> Class {
    let heads = |phrases: &[&str]| phrases.iter().any(|phrase| follows(phrase, base, clause));
    if heads(NEVER_PHRASES) {
        Class::Never
    } else if heads(WORK_PHRASES) || is_work(base) {
        Class::Work
    } else if NEVER.contains(&base) {
        Class::Never
    } else if WEAK.contains(&base) {
        Class::Weak
    } else {
        Class::Unknown
    }
}

/// Whether `base` is the base form of a verb that is surely work.
pub(super) fn is_work(base: &str) -> bool {
    WORK.binary_search(&base).is_ok()
}

/// Whether the verb needs no object to be work.
pub(super) fn stands_alone(base: &str) -> bool {
    ["report", "respond", "reply", "apologize"].contains(&base)
}

/// Whether the clause only points back at what was said before ("do that", "take care of it").
pub(super) fn is_anaphoric(clause: &[Token]) -> bool {
    ANAPHORS.iter().any(|phrase| {
        let words = phrase.split(' ').count();
        words <= clause.len() && follows(phrase, &clause[0].norm, clause)
    })
}

/// The base form of a verb that is work, given its -ing form.
pub(super) fn base_of_ing(ing: &str) -> Option<String> {
    candidates(ing.strip_suffix("ing")?).find(|base| is_work(base))
}

/// The base form of a verb that is work, given its past participle.
pub(super) fn base_of_participle(participle: &str) -> Option<String> {
    if let Some((_, base)) = IRREGULAR_PARTICIPLES.iter().find(|(form, _)| *form == participle) {
        return Some((*base).to_owned());
    }
    let stem = participle.strip_suffix("ed")?;
    let y = stem.strip_suffix('i').map(|stem| format!("{stem}y"));
    candidates(stem).chain(y).find(|base| is_work(base))
}

/// What a stem without its ending may come from: "send", "prepar" + e, "plann" minus n.
fn candidates(stem: &str) -> impl Iterator<Item = String> {
    let undoubled = {
        let mut chars = stem.chars();
        let last = chars.next_back();
        (last.is_some() && last == chars.clone().next_back()).then(|| chars.as_str().to_owned())
    };
    [stem.to_owned(), format!("{stem}e")].into_iter().chain(undoubled)
}

/// Whether the clause reads `phrase`; `*` stands for one or two words.
fn follows(phrase: &str, base: &str, clause: &[Token]) -> bool {
    let words: Vec<&str> = phrase.split(' ').collect();
    words[0] == base && matches_rest(&words[1..], &clause[1..])
}

fn matches_rest(words: &[&str], tokens: &[Token]) -> bool {
    match words {
        [] => true,
        ["*", rest @ ..] => (1..=2).any(|skip| tokens.len() >= skip && matches_rest(rest, &tokens[skip..])),
        [word, rest @ ..] => tokens.first().is_some_and(|token| token.is(word)) && matches_rest(rest, &tokens[1..]),
    }
}

#[rustfmt::skip]
const ANAPHORS: &[&str] = &[
    "do that", "do it", "do this", "do so", "take care of it", "take care of that", "take care of this", "handle it",
    "handle that", "take that", "take it", "get it done", "get that done", "get this done", "look into it",
    "look into that",
];

/// Work although the verb alone is not.
#[rustfmt::skip]
const WORK_PHRASES: &[&str] = &[
    "do that", "do it", "do this", "do the", "do a", "get back to", "get in touch", "get * done", "get * ready",
    "get * to", "get * from", "get * signed", "get * approved", "get the", "get a", "get you the", "take care of",
    "take over", "take on", "take notes", "take the minutes", "take a look", "take minutes", "take that", "look into",
    "look at", "look after", "look up", "have a look", "have * ready", "have * done", "have a word with",
    "let you know", "let * know", "let me know", "let us know", "keep you posted", "keep you updated",
    "keep * posted", "keep * updated", "keep * in the loop", "keep track", "make sure", "make a", "make the",
    "make an", "put together", "put * together", "put the", "put it", "put a", "put in", "set up", "set * up",
    "sign off", "sign up", "reach out", "follow up", "work on", "work out", "write up", "write down", "find out",
    "find a", "find the", "find someone", "find an", "figure out", "pick up", "pick * up", "drop off", "hand in",
    "hand over the", "send out", "talk to", "talk with", "speak to", "speak with", "tell the", "tell him", "tell her",
    "tell them", "ask the", "ask him", "ask her", "ask them", "ask for", "ask our", "be in touch", "give * a call",
    "give you a call", "give * a ring", "give * feedback", "give you feedback", "give * an update", "run the",
    "run a", "bring the", "bring up", "bring a", "chase up", "chase * up", "come up with", "come back to you",
    "come back with", "go through the", "go over the", "turn in", "fill in", "fill out", "sort out", "sort * out",
    "roll out", "print out", "read the", "read through", "show * the", "walk * through", "move the", "start a",
    "start the", "start working", "start preparing", "open a", "close the", "add the", "check in with", "check with",
    "check if", "check whether", "check the", "check our", "check what", "check with", "confirm the", "confirm with",
    "remind the", "remind him", "remind her", "remind them", "remind me to", "remind everyone", "introduce * to",
    "explain * to the", "try out", "double check", "talk * through", "mention * to",
];

/// Talk, farewells and what is done at once, although the verb might be work.
#[rustfmt::skip]
const NEVER_PHRASES: &[&str] = &[
    "talk to you", "speak to you", "talk to you later", "see you", "catch you", "call it", "call me", "tell you",
    "tell me", "tell us", "ask you", "share my screen", "share your screen", "share this screen", "hand over to",
    "hand it over to", "pass it", "pass over", "make it", "make sense", "make do", "get there", "get started",
    "get into", "get going", "get used", "get it", "get the point", "get the idea", "get the hang", "take the salad",
    "take a break", "take a seat", "take questions", "take a few questions", "put you on hold", "put me on hold",
    "put myself", "put it this", "put it that", "put it like", "put you through", "give you an example",
    "give me a second", "give me a moment", "give us", "show you", "do my best", "do well", "do our best", "do fine",
    "do the math", "do a quick round", "start with", "start off", "start the meeting", "start the call",
    "start the recording", "open the floor", "close the meeting", "close the call", "check the time", "find it",
    "find out soon", "look at the time", "look at this", "look at that", "look forward", "look at the first",
    "look at the next", "look at slide", "move on", "move to the next", "move the discussion", "run out",
    "run through", "run into", "let you go", "let you get", "let it", "let go", "let * finish", "let me finish",
    "let me think", "review * together now", "read out", "bring us", "bring me", "go through the agenda",
    "go over the agenda", "check the recording", "send my", "send love", "call that", "call him that", "record this",
    "record the meeting", "write that down now", "try to be", "try to keep", "keep it", "help you", "help us",
    "help me understand", "update you now", "review the agenda", "discuss this", "discuss that", "discuss it",
];

/// States, perception, talk about talk, and the running of the meeting.
#[rustfmt::skip]
const NEVER: &[&str] = &[
    "accept", "admit", "agree", "appear", "argue", "assume", "be", "become", "begin", "believe", "belong", "bet",
    "care", "consider", "continue", "cost", "depend", "die", "disagree", "enjoy", "exist", "expect", "fail", "fall",
    "feel", "focus", "forget", "get", "grow", "guess", "happen", "hate", "hear", "hold", "hope", "imagine", "improve",
    "increase", "keep", "know", "last", "laugh", "learn", "lie", "like", "listen", "live", "look", "lose", "love",
    "matter", "mean", "miss", "mute", "need", "notice", "pass", "pause", "pretend", "proceed", "realize", "recall",
    "recognise", "recognize", "remain", "repeat", "respect", "rest", "say", "see", "seem", "sit", "skip", "sleep",
    "sound", "spare", "speak", "stand", "stay", "stick", "stop", "suffer", "suggest", "suppose", "survive", "tell",
    "thank", "think", "turn", "understand", "unmute", "wait", "want", "watch", "win", "wish", "wonder", "worry",
    "spell", "jump", "cut", "end", "interrupt", "excuse", "step", "afford", "hang", "buy-in",
];

/// Work only when a date makes them definite.
#[rustfmt::skip]
const WEAK: &[&str] = &[
    "ask", "bring", "change", "check", "come", "confirm", "do", "explain", "give", "go", "have", "help", "join",
    "leave", "let", "make", "meet", "mention", "move", "open", "play", "put", "read", "remember", "run", "show",
    "start", "take", "talk", "travel", "try", "use", "work", "find", "look", "visit", "eat", "attend", "drive", "fly",
];

/// Verbs that are surely work. Sorted.
#[rustfmt::skip]
const WORK: &[&str] = &[
    "add", "adjust", "align", "allocate", "analyse", "analyze", "announce", "apologize", "approve", "archive",
    "arrange", "assemble", "assign", "attach", "audit", "backup", "benchmark", "book", "build", "buy", "calculate",
    "call", "cancel", "chase", "check-in", "choose", "circle", "circulate", "clarify", "clean", "collect", "commit",
    "compare", "compile", "complete", "configure", "connect", "contact", "convert", "coordinate", "copy", "correct",
    "create", "crosscheck", "debug", "define", "delegate", "delete", "deliver", "deploy", "design", "develop",
    "discuss", "distribute", "document", "double-check", "download", "draft", "draw", "drop-off", "edit", "email",
    "escalate", "estimate", "evaluate", "export", "extend", "file", "finalise", "finalize", "finish", "fix",
    "follow-up", "format", "forward", "gather", "handle", "hire", "host", "implement", "import", "inform", "inspect",
    "install", "interview", "investigate", "invite", "invoice", "label", "launch", "list", "lock", "look-up", "mail",
    "map", "measure", "merge", "message", "migrate", "monitor", "move-over", "negotiate", "notify", "obtain",
    "onboard", "optimise", "optimize", "order", "organise", "organize", "outline", "outsource", "pack", "pay",
    "phone", "photograph", "pick-up", "pitch", "plan", "polish", "port", "post", "prepare", "present", "print",
    "prioritise", "prioritize", "process", "promote", "proofread", "prototype", "provide", "provision", "publish",
    "purchase", "push", "quote", "raise", "rebuild", "recheck", "record", "recruit", "redo", "refactor", "refill",
    "refund", "register", "reimburse", "release", "remind", "remove", "rename", "renew", "reorder", "repair",
    "replace", "reply", "report", "reproduce", "request", "rerun", "reschedule", "research", "resend", "reserve",
    "reset", "resolve", "respond", "restart", "restore", "return", "review", "revise", "rewrite", "ring", "roll-out",
    "rollback", "sample", "scan", "schedule", "secure", "sell", "send", "set-up", "settle", "share", "ship",
    "shortlist", "sign", "simplify", "sketch", "sort", "specify", "stage", "streamline", "submit", "subscribe",
    "summarise", "summarize", "supply", "survey", "sync", "test", "text", "tidy", "trace", "track", "train",
    "transcribe", "transfer", "transform", "translate", "triage", "tune", "unblock", "unsubscribe", "update",
    "upgrade", "upload", "validate", "verify", "wire", "withdraw", "wrap", "write",
];

#[rustfmt::skip]
const IRREGULAR_PARTICIPLES: &[(&str, &str)] = &[
    ("sent", "send"), ("written", "write"), ("rewritten", "rewrite"), ("done", "do"), ("made", "make"),
    ("built", "build"), ("bought", "buy"), ("paid", "pay"), ("brought", "bring"), ("drawn", "draw"),
    ("taken", "take"), ("given", "give"), ("set", "set"), ("held", "hold"), ("found", "find"), ("read", "read"),
    ("cut", "cut"), ("rebuilt", "rebuild"), ("resent", "resend"), ("told", "tell"), ("put", "put"), ("sold", "sell"),
    ("chosen", "choose"), ("redone", "redo"),
];
