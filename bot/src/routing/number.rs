//! What somebody dialled, and the number that it is in the world.
//!
//! A party comes as `sip:+4930123456@example.org;user=phone`, `tel:030-123456`, `client:alice` or as it was typed.
//! [`Party::read`] takes any of these: what was dialled stays as it is, without the marks that people put between
//! digits, and beside it stands the number in E.164 where the dialling plan of [`Home`] says which one it is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Somebody who is called or calls: a name, or a number.
#[derive(Clone, PartialEq, Eq)]
pub struct Party {
    dialled: String,
    number: Option<E164>,
}

impl Party {
    /// Reads a URI (`sip:`, `sips:`, `tel:`, `client:`) or what was typed.
    ///
    /// # Errors
    /// [`Unreadable`] when it is too long or holds no text; whoever sent it is wrong.
    pub fn read(text: &str, home: &Home) -> Result<Self, Unreadable> {
        if text.len() > PARTY_BYTES_MAX {
            return Err(Unreadable::TooLong);
        }
        let (scheme, rest) = split_scheme(text.trim());
        let user = match scheme {
            Scheme::Sip => rest.split_once('@').map_or("", |(user, _)| user),
            Scheme::Tel | Scheme::Client | Scheme::None => rest,
        };
        // What stands behind `;` qualifies the number; behind `:` stood passwords, once.
        let (user, qualifiers) = user.split_once(';').unwrap_or((user, ""));
        let user = if scheme == Scheme::Sip { user.split_once(':').map_or(user, |(user, _)| user) } else { user };
        let user = unescaped(user)?;
        let Some(digits) = without_marks(&user).filter(|_| scheme != Scheme::Client) else {
            return Ok(Self { dialled: user, number: None });
        };
        let number = match qualifiers.split(';').find_map(|one| one.strip_prefix("phone-context=")) {
            // RFC 3966 section 5.1.5: a context that is a number's beginning completes the number.
            Some(context) if context.starts_with('+') && !digits.starts_with('+') => {
                without_marks(context).and_then(|context| format!("{context}{digits}").parse().ok())
            }
            _ => home.number(&digits),
        };
        Ok(Self { dialled: digits, number })
    }

    /// What was dialled: a name as it was written, a number without spaces, dots, dashes and brackets.
    pub fn dialled(&self) -> &str {
        &self.dialled
    }

    /// The number, where it is one that the whole world can dial.
    pub fn number(&self) -> Option<&E164> {
        self.number.as_ref()
    }

    /// The number if there is one, else what was dialled.
    pub fn best(&self) -> &str {
        self.number.as_ref().map_or(&self.dialled, E164::as_str)
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.number {
            Some(number) => f.debug_tuple("Party").field(number).finish(),
            None => write!(f, "Party({} characters)", self.dialled.chars().count()),
        }
    }
}

/// Why nobody can be called by that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than any name or number.
    #[error("the name or number is longer than {PARTY_BYTES_MAX} bytes")]
    TooLong,
    /// An escape (`%41`) that is none, or one that makes no text.
    #[error("the name or number has an escape that makes no text")]
    Escape,
}

/// A telephone number of the world, such as `+4930123456` (ITU-T E.164): a plus and 3 to 15 digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct E164(String);

impl E164 {
    /// With the plus.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for E164 {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let digits = text.strip_prefix('+').ok_or(NoNumber)?;
        let is_sound = E164_DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_sound.then(|| Self(text.to_owned())).ok_or(NoNumber)
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Numbers are people's: only the country shows.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}… ({} digits)", &self.0[..3], self.0.len() - 1)
    }
}

/// The text is not `+` and 3 to 15 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no number such as +4930123456")]
pub struct NoNumber;

/// The dialling plan of where we are: how national numbers become E.164.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Home {
    /// The country code without plus, such as `49`. Without one only numbers with `+` are known to the world.
    pub country: Option<String>,
    /// What is dialled before national numbers, such as `0`; by country when not set.
    pub national_prefix: Option<String>,
    /// What is dialled before international numbers, such as `00`; by country when not set.
    pub international_prefix: Option<String>,
    /// The area code without prefix, such as `30`: completes numbers that are dialled without one.
    pub area: Option<String>,
}

impl Home {
    /// What makes no sense: the key, and why.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let are_digits = |text: &Option<String>, longest: usize| {
            text.as_ref().is_none_or(|text| text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let is_code = self.country.as_ref().is_none_or(|code| (1..=3).contains(&code.len()) && !code.starts_with('0'));
        if !is_code || !are_digits(&self.country, 3) {
            return Some(("country", "must be a country code such as 49"));
        }
        if !are_digits(&self.national_prefix, 4) {
            return Some(("national_prefix", "must be up to four digits, such as 0"));
        }
        if !are_digits(&self.international_prefix, 5) || self.international_prefix.as_deref() == Some("") {
            return Some(("international_prefix", "must be one to five digits, such as 00"));
        }
        if !are_digits(&self.area, 6) {
            return Some(("area", "must be up to six digits, such as 30"));
        }
        (self.area.is_some() && self.country.is_none()).then_some(("area", "needs a country"))
    }

    /// The number that `digits` (dialled, without marks) is in the world, if this plan tells.
    fn number(&self, digits: &str) -> Option<E164> {
        if digits.starts_with('+') {
            return digits.parse().ok();
        }
        let country = self.country.as_deref()?;
        let international = self.international_prefix.as_deref().unwrap_or(if country == NANP { "011" } else { "00" });
        if let Some(rest) = digits.strip_prefix(international) {
            return format!("+{rest}").parse().ok();
        }
        let national = self.national_prefix.as_deref().unwrap_or_else(|| usual_national_prefix(country));
        let rest = match digits.strip_prefix(national) {
            // In North America ten digits are a whole number, with or without the 1 before them.
            _ if country == NANP && digits.len() == 10 => digits.to_owned(),
            // Where nothing stands before national numbers, short ones are services and extensions.
            Some(_) if national.is_empty() && digits.len() < WITHOUT_PREFIX_DIGITS_MIN => return None,
            Some(rest) => rest.to_owned(),
            None => format!("{}{digits}", self.area.as_deref().filter(|_| digits.len() >= LOCAL_DIGITS_MIN)?),
        };
        (rest.len() >= NATIONAL_DIGITS_MIN).then(|| format!("+{country}{rest}").parse().ok())?
    }
}

/// The national prefix where nobody says otherwise.
fn usual_national_prefix(country: &str) -> &'static str {
    match country {
        NANP => "1",
        // Closed numbering plans: everybody dials the whole national number and nothing before it.
        "30" | "34" | "39" | "45" | "47" | "48" | "65" | "351" | "352" | "354" | "356" | "357" | "371" | "372"
        | "420" | "852" => "",
        _ => "0",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Sip,
    Tel,
    Client,
    None,
}

fn split_scheme(text: &str) -> (Scheme, &str) {
    for (name, scheme) in
        [("sip:", Scheme::Sip), ("sips:", Scheme::Sip), ("tel:", Scheme::Tel), ("client:", Scheme::Client)]
    {
        if let Some(start) = text.get(..name.len())
            && start.eq_ignore_ascii_case(name)
        {
            return (scheme, &text[name.len()..]);
        }
    }
    (Scheme::None, text)
}

/// The digits, with `*` and `#`, if the text is nothing but these and the marks that people put between them.
fn without_marks(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| !" -.()/".contains(*letter)).collect();
    let (first, rest) = (digits.chars().next()?, digits.get(1..)?);
    let is_dialled = |letter: char| letter.is_ascii_digit() || letter == '*' || letter == '#';
    let is_number = (first == '+' || is_dialled(first))
        && rest.chars().all(is_dialled)
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    is_number.then_some(digits)
}

fn unescaped(text: &str) -> Result<String, Unreadable> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(Unreadable::Escape) };
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::Escape)
}

/// Longer than any address of a person or number, with its qualifiers.
const PARTY_BYTES_MAX: usize = 512;

/// ITU-T E.164 section 6: at most 15; the shortest in use are some three digits behind a country code.
const E164_DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// The country code of the North American Numbering Plan.
const NANP: &str = "1";

/// 110, 112, 0800 and 115 never become somebody's number: real ones have more digits.
const NATIONAL_DIGITS_MIN: usize = 5;

/// Shorter than the shortest number of a country without national prefix, longer than its services.
const WITHOUT_PREFIX_DIGITS_MIN: usize = 7;

/// Shorter than the shortest local numbers, longer than emergency calls.
const LOCAL_DIGITS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_become_what_the_world_dials() {
        for (country, area, text, number) in [
            ("49", "", "+49 (30) 123-456", Some("+4930123456")),
            ("49", "", "sip:+4930123456@example.org;user=phone", Some("+4930123456")),
            ("49", "", "sip:030123456@example.org", Some("+4930123456")),
            ("49", "", "SIPS:%2B4930123456:pw@example.org", Some("+4930123456")),
            ("49", "", "tel:0049-30-123456;ext=7", Some("+4930123456")),
            ("49", "", "tel:123456;phone-context=+4930", Some("+4930123456")),
            ("49", "", "sip:123456;phone-context=+4930@h;user=phone", Some("+4930123456")),
            ("49", "", "tel:123456;phone-context=example.org", None),
            ("49", "30", "123456", Some("+4930123456")),
            ("49", "30", "110", None),
            ("49", "", "112", None),
            ("49", "", "123456", None),
            ("49", "", "*21#", None),
            ("", "", "030123456", None),
            ("", "", "+4930123456", Some("+4930123456")),
            ("1", "", "2125550123", Some("+12125550123")),
            ("1", "", "12125550123", Some("+12125550123")),
            ("1", "", "0114930123456", Some("+4930123456")),
            ("1", "", "911", None),
            ("39", "", "06 1234 5678", Some("+390612345678")),
            ("34", "", "112", None),
            ("49", "", "+0123456", None),
            ("49", "", "+1234567890123456", None),
            ("49", "", "sip:alice@example.org", None),
            ("49", "", "client:0301234567", None),
        ] {
            let text_of = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let home = Home { country: text_of(country), area: text_of(area), ..Home::default() };
            let party = Party::read(text, &home).unwrap();
            assert_eq!(party.number().map(E164::as_str), number, "{text} in {country:?}");
        }
    }

    #[test]
    fn what_was_dialled_stays_without_marks() {
        for (text, dialled) in [
            ("sip:echo@example.org", "echo"),
            ("sip:%65cho@example.org;user=phone", "echo"),
            ("sip:example.org", ""),
            ("tel:030-12 34", "0301234"),
            ("client:alice.smith-1", "alice.smith-1"),
            ("sip:a%00b@h", "a\0b"),
            ("100", "100"),
            ("*21*5#", "*21*5#"),
            ("-", "-"),
        ] {
            assert_eq!(Party::read(text, &Home::default()).unwrap().dialled(), dialled, "{text}");
        }
        assert_eq!(Party::read("sip:%zz@h", &Home::default()), Err(Unreadable::Escape));
        assert_eq!(Party::read("sip:%ff@h", &Home::default()), Err(Unreadable::Escape));
        assert_eq!(Party::read(&"1".repeat(513), &Home::default()), Err(Unreadable::TooLong));
    }

    #[test]
    fn numbers_do_not_show_in_debug_output() {
        let party = Party::read("+4930123456", &Home::default()).unwrap();
        assert!(!format!("{party:?}").contains("30123"));
        assert!(!format!("{:?}", Party::read("030123456", &Home::default()).unwrap()).contains("30123"));
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_named() {
        for (text, key) in [
            ("country = \"+49\"", "country"),
            ("country = \"0\"", "country"),
            ("national_prefix = \"x\"", "national_prefix"),
            ("international_prefix = \"\"", "international_prefix"),
            ("area = \"30\"", "area"),
        ] {
            let (name, value) = text.split_once(" = ").unwrap();
            let value = Some(value.trim_matches('"').to_owned());
            let mut home = Home::default();
            match name {
                "country" => home.country = value,
                "national_prefix" => home.national_prefix = value,
                "international_prefix" => home.international_prefix = value,
                _ => home.area = value,
            }
            assert_eq!(home.fault().unwrap().0, key);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_a_number_stays_itself(text in "\\PC{0,40}", country in "[1-9][0-9]{0,2}") {
            let home = Home { country: Some(country), ..Home::default() };
            for text in [text.clone(), format!("sip:{text}@h"), format!("tel:{text}")] {
                if let Ok(party) = Party::read(&text, &home)
                    && let Some(number) = party.number()
                {
                    let again = Party::read(number.as_str(), &home).unwrap();
                    prop_assert_eq!(again.number(), Some(number));
                }
            }
        }
    }
}
