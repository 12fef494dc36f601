//! Telephone numbers, digit by digit in groups that can be written down.

use super::{
    figures::is_digits,
    lexicon::Lexicon,
    reading::{Line, Reading, grouped_digits},
};

/// The longest number there is (E.164), with an extension.
const DIGITS_MAX: usize = 20;

/// A number of one or several tokens: with a plus, with a zero in front, or in groups of three, three and four.
pub(super) fn read(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let first = line.now();
    let has_plus = first.core.starts_with('+');
    let mut groups = Vec::new();
    let mut taken = 0;
    let mut digits = 0;
    while let Some(token) = line.tokens.get(line.at + taken) {
        let Some(found) = groups_of(token.core, taken == 0) else { break };
        let more: usize = found.iter().map(|group| group.len()).sum();
        if digits + more > DIGITS_MAX {
            break;
        }
        digits += more;
        groups.extend(found);
        taken += 1;
        // Only a bracket may stand between the parts of one number.
        if !matches!(token.tail, "" | ")") {
            break;
        }
    }
    // A number that stands beside another is no part of it: only groups of two and more are.
    let lens: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_american = matches!(lens.as_slice(), [3, 3, 4] | [1, 3, 3, 4]) || (taken == 1 && lens == [3, 4]);
    let is_national = groups.first().is_some_and(|group| group.starts_with('0')) && digits >= 6;
    let is_international = has_plus && digits >= 7;
    if !(is_american || is_national || is_international) || digits > DIGITS_MAX {
        return None;
    }
    Some(Reading::of(taken, told(has_plus, &groups, lexicon)))
}

/// What is known to be a telephone number, however it is written.
pub(super) fn told_plainly(text: &str, lexicon: &Lexicon) -> String {
    let groups: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    told(text.trim_start().starts_with('+'), &groups, lexicon)
}

fn told(has_plus: bool, groups: &[&str], lexicon: &Lexicon) -> String {
    let mut said: Vec<String> = groups.iter().map(|group| grouped_digits(group, lexicon)).collect();
    if has_plus && let Some(first) = said.first_mut() {
        *first = format!("{} {first}", lexicon.plus);
    }
    said.join(", ")
}

/// The rows of digits in a token that holds nothing but them and the signs between them.
fn groups_of(core: &str, is_first: bool) -> Option<Vec<&str>> {
    let core = if is_first { core.strip_prefix('+').unwrap_or(core) } else { core };
    let groups: Vec<&str> = core.split(['-', '/', '.', '(', ')', '–']).filter(|group| !group.is_empty()).collect();
    (!groups.is_empty() && groups.iter().all(|group| is_digits(group))).then_some(groups)
}
