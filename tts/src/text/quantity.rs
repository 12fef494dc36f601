//! Amounts of money, and numbers with a unit.

use super::{
    figures::{self, Number},
    lexicon::{Currency, Lexicon},
    reading::{Line, Reading},
};

/// An amount with its currency before or after it, joined or apart.
pub(super) fn money(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let core = line.now().core;
    // $12.50 and 12,50€.
    if let Some((currency, amount)) = split_sign(core, lexicon) {
        let amount = figures::number(amount, lexicon)?;
        let large = line.next(1).and_then(|next| large_of(next.core, amount, lexicon));
        return Some(match large {
            Some(large) => Reading::of(2, with_large(amount, large, currency, lexicon)),
            None => Reading::of(1, sum(amount, currency, lexicon)),
        });
    }
    // EUR 12,50.
    if let Some(currency) = lexicon.currency(core) {
        let amount = figures::number(line.next(1)?.core, lexicon)?;
        return Some(Reading::of(2, sum(amount, currency, lexicon)));
    }
    // 12,50 €, 5 Mio. Euro.
    let amount = figures::number(core, lexicon)?;
    let next = line.next(1)?;
    if let Some(currency) = lexicon.currency(next.core) {
        return Some(Reading::of(2, sum(amount, currency, lexicon)));
    }
    let large = large_of(next.core, amount, lexicon)?;
    let after = line.tokens.get(line.at + 2).filter(|_| matches!(next.tail, "" | "."));
    match after.and_then(|after| lexicon.currency(after.core)) {
        Some(currency) => Some(Reading::of(3, with_large(amount, large, currency, lexicon))),
        None => {
            let spoken = format!("{} {large}", counted(amount, large, lexicon)).trim().to_owned();
            // The stop of "Mio." is no end of a sentence while something follows.
            let is_short = next.core.len() <= 3 && next.has_stop();
            Some(Reading { taken: 2, spoken, keeps_stop: !is_short || line.tokens.len() == line.at + 2 })
        }
    }
}

/// What is known to be an amount.
pub(super) fn sum_of(text: &str, lexicon: &Lexicon) -> Option<String> {
    let compact: String = text.split_whitespace().collect();
    let sign_at_end = compact.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '-'));
    let (currency, amount) = split_sign(&compact, lexicon).or_else(|| {
        let at = sign_at_end?;
        let (amount, sign) = compact.split_at(at);
        if amount.is_empty() {
            let end = compact.find(|c: char| c.is_ascii_digit())?;
            let (sign, amount) = compact.split_at(end);
            return Some((lexicon.currency(sign)?, amount));
        }
        Some((lexicon.currency(sign)?, amount))
    })?;
    Some(sum(figures::number(amount, lexicon)?, currency, lexicon))
}

fn split_sign<'a>(text: &'a str, lexicon: &Lexicon) -> Option<(&'static Currency, &'a str)> {
    let first = text.chars().next()?;
    let last = text.chars().next_back()?;
    let (front, back) = (&text[..first.len_utf8()], &text[text.len() - last.len_utf8()..]);
    if !first.is_alphanumeric()
        && let Some(currency) = lexicon.currency(front)
    {
        return Some((currency, &text[first.len_utf8()..]));
    }
    if last.is_alphanumeric() {
        return None;
    }
    Some((lexicon.currency(back)?, &text[..text.len() - last.len_utf8()]))
}

fn sum(amount: Number<'_>, currency: &Currency, lexicon: &Lexicon) -> String {
    let minus = if amount.is_negative { format!("{} ", lexicon.minus) } else { String::new() };
    let cents = match amount.fraction.len() {
        0 => 0,
        2 => amount.fraction.parse::<u64>().unwrap_or_default(),
        // 1,5 € and 0,999 € are read as numbers.
        _ => return format!("{} {}", figures::spoken(amount, lexicon), currency.many),
    };
    let small = match cents {
        0 => String::new(),
        1 => currency.cent.to_owned(),
        _ => format!("{} {}", (lexicon.cardinal)(cents), currency.cents),
    };
    let whole = match amount.whole {
        1 => currency.one.to_owned(),
        whole => format!("{} {}", (lexicon.cardinal)(whole), currency.many),
    };
    match (amount.whole, cents) {
        (_, 0) => format!("{minus}{whole}"),
        (0, _) => format!("{minus}{small}"),
        _ if lexicon.names_cents => format!("{minus}{whole} {} {small}", lexicon.name('&').unwrap_or_default()),
        _ => format!("{minus}{whole} {}", (lexicon.cardinal)(cents)),
    }
}

/// The word for a million and its like, beside this amount.
fn large_of(written: &str, amount: Number<'_>, lexicon: &Lexicon) -> Option<&'static str> {
    let (_, one, many) = lexicon.large.iter().find(|(known, ..)| *known == written)?;
    Some(if amount.whole == 1 && amount.fraction.is_empty() { one } else { many })
}

fn with_large(amount: Number<'_>, large: &str, currency: &Currency, lexicon: &Lexicon) -> String {
    format!("{} {large} {}", counted(amount, large, lexicon), currency.many).trim().to_owned()
}

/// The figure beside a large number; the word for one of it has its own article.
fn counted(amount: Number<'_>, large: &str, lexicon: &Lexicon) -> String {
    let has_own = lexicon.large.iter().any(|(_, one, many)| one != many && *one == large);
    if has_own { String::new() } else { figures::spoken(amount, lexicon) }
}

/// A number with its unit, joined or apart.
pub(super) fn measure(line: Line<'_>, lexicon: &Lexicon) -> Option<Reading> {
    let core = line.now().core;
    if let Some(number) = figures::number(core, lexicon) {
        let next = line.next(1)?;
        return Some(Reading::of(2, with_unit(number, next.core, lexicon)?));
    }
    let at = core.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '-' | '−' | '–'))?;
    let (number, unit) = core.split_at(at);
    // A range with a unit: 5-10%.
    if let Some((from, to)) = number.split_once(['-', '–']).filter(|(from, _)| !from.is_empty()) {
        let (from, to) = (figures::number(from, lexicon)?, figures::number(to, lexicon)?);
        let to = with_unit(to, unit, lexicon)?;
        return Some(Reading::of(1, format!("{} {} {to}", figures::spoken(from, lexicon), lexicon.to)));
    }
    Some(Reading::of(1, with_unit(figures::number(number, lexicon)?, unit, lexicon)?))
}

/// What is known to be a number with a unit.
pub(super) fn measure_of(text: &str, lexicon: &Lexicon) -> Option<String> {
    let compact: String = text.split_whitespace().collect();
    let at = compact.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '-'))?;
    let (number, unit) = compact.split_at(at);
    with_unit(figures::number(number, lexicon)?, unit, lexicon)
}

fn with_unit(number: Number<'_>, unit: &str, lexicon: &Lexicon) -> Option<String> {
    let (_, one, many) = lexicon.units.iter().find(|(known, ..)| *known == unit)?;
    if number.whole == 1 && number.fraction.is_empty() && !number.is_negative {
        return Some((*one).to_owned());
    }
    Some(format!("{} {many}", figures::spoken(number, lexicon)))
}
