//! What may be dialled out: rules against toll fraud.
//!
//! Stolen passwords and open doors are turned into money by dialling expensive numbers, at night, many at once. So
//! nothing can be dialled that is not listed; premium numbers not even then, unless they are listed as such; calls
//! are counted per caller and altogether, in any minute, hour and day; and where there are prices, a day's estimated
//! cost stays within a budget, calls that are still running included.
//!
//! Pure: told the time. A call that is granted holds a [`Permit`], which is renewed while the call goes on and given
//! back when it ends. Callers are remembered in a table of bounded size; when it is full, the one that was longest
//! quiet is forgotten, and the limits on everybody together still hold.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::Error as _};

use super::{
    money::Money,
    number::{E164, Party},
    premium::premium,
    recent::Recent,
    window::Window,
};

/// `[dialling]`: what may be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Beginnings of numbers (`+49`, `+44207`) that may be dialled, and short numbers as such (`115`). Nothing may
    /// be dialled when it is empty.
    pub allow: Vec<Allowed>,
    /// Calls that anybody begins in any minute.
    pub calls_per_minute: u32,
    /// Calls that anybody begins in any hour.
    pub calls_per_hour: u32,
    /// Calls that anybody begins in any 24 hours.
    pub calls_per_day: u32,
    /// Calls at once.
    pub calls_at_once: u32,
    /// Calls that one caller begins in any minute.
    pub caller_calls_per_minute: u32,
    /// Calls that one caller begins in any hour.
    pub caller_calls_per_hour: u32,
    /// Calls that one caller begins in any 24 hours.
    pub caller_calls_per_day: u32,
    /// Calls of one caller at once.
    pub caller_calls_at_once: u32,
    /// Minutes after which a call is ended.
    pub call_minutes_max: u32,
    /// What a minute costs, by beginning of the number; the longest beginning counts.
    pub prices: BTreeMap<Prefix, Money>,
    /// What all calls of any 24 hours may cost; needs prices, and numbers without one are then not dialled.
    pub budget_per_day: Option<Money>,
    /// Minutes that are set aside from the budget at a time, when a call begins and while it goes on.
    pub reserve_minutes: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            // A small office on a busy day; whoever needs more knows it.
            calls_per_minute: 30,
            calls_per_hour: 300,
            calls_per_day: 1_000,
            calls_at_once: 10,
            // As fast as a person dials, and for longer than one does.
            caller_calls_per_minute: 6,
            caller_calls_per_hour: 60,
            caller_calls_per_day: 200,
            caller_calls_at_once: 3,
            // Longer than meetings; calls that nobody ends are ended.
            call_minutes_max: 240,
            prices: BTreeMap::new(),
            budget_per_day: None,
            // Longer than most calls, so that few are renewed; shorter than what would block a small budget.
            reserve_minutes: 5,
        }
    }
}

impl Rules {
    /// What makes no sense: the key, and why.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.call_minutes_max == 0 || self.call_minutes_max > MINUTES_MAX {
            return Some(("call_minutes_max", "must be 1 to 1440"));
        }
        if self.reserve_minutes == 0 || self.reserve_minutes > MINUTES_MAX {
            return Some(("reserve_minutes", "must be 1 to 1440"));
        }
        (self.budget_per_day.is_some() && self.prices.is_empty())
            .then_some(("budget_per_day", "needs prices, or nothing could be dialled"))
    }

    /// Whether these parties, which are the same number before and after it was rewritten, may be dialled; and the
    /// price of a minute.
    fn judge(&self, parties: &[Party]) -> Result<Option<Money>, Refusal> {
        let numbers: Vec<&str> = parties.iter().filter_map(|party| party.number().map(E164::as_str)).collect();
        let is_short = |text: &str| self.allow.iter().any(|one| matches!(one, Allowed::Short(short) if short == text));
        if numbers.is_empty() {
            let dialled = parties.last().map_or("", Party::dialled);
            return if is_short(dialled) { self.priced(&[dialled]) } else { Err(Refusal::NotAllowed) };
        }
        for number in &numbers {
            let opens = |beginning: &str| {
                self.allow.iter().any(|one| {
                    matches!(one, Allowed::Prefix(prefix)
                        if number.starts_with(&prefix.0) && prefix.0.starts_with(beginning))
                })
            };
            if !opens("") {
                return Err(Refusal::NotAllowed);
            }
            if premium(number).is_some_and(|premium| !opens(premium)) {
                return Err(Refusal::Premium);
            }
        }
        self.priced(&numbers)
    }

    fn priced(&self, numbers: &[&str]) -> Result<Option<Money>, Refusal> {
        let price = |number: &&str| {
            let longest = self.prices.iter().filter(|(prefix, _)| number.starts_with(&prefix.0));
            longest.max_by_key(|(prefix, _)| prefix.0.len()).map(|(_, price)| *price)
        };
        let dearest = numbers.iter().filter_map(price).max();
        match (dearest, self.budget_per_day) {
            (None, Some(_)) => Err(Refusal::Unpriced),
            (price, _) => Ok(price),
        }
    }
}

/// One entry of `dialling.allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Numbers that begin so.
    Prefix(Prefix),
    /// This one, as it is dialled.
    Short(String),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('+') {
            return text.parse().map(Self::Prefix);
        }
        let is_short = (1..=SHORT_DIGITS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*' || byte == b'#');
        is_short
            .then(|| Self::Short(text.to_owned()))
            .ok_or_else(|| format!("{text:?} is no beginning of numbers such as +49, and no short number such as 115"))
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A beginning of numbers: `+` and 1 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|letter| !" -.()/".contains(*letter)).collect();
        let is_sound = digits
            .strip_prefix('+')
            .is_some_and(|digits| (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
        is_sound.then_some(Self(digits)).ok_or_else(|| format!("{text:?} is no beginning of numbers such as +49"))
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A call that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermitId(u64);

/// A call that was granted, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Which.
    pub id: PermitId,
    /// By then [`Dialling::renew`] must be asked.
    pub renew_by: Instant,
}

/// Why a call is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The number begins with nothing that is listed.
    #[error("the number is not in dialling.allow")]
    NotAllowed,
    /// A premium number that is not listed as such.
    #[error("the number is a premium one, which dialling.allow does not list as such")]
    Premium,
    /// There is a budget and no price for the number.
    #[error("dialling.prices has no price for the number, so the budget cannot be kept")]
    Unpriced,
    /// Too many calls at once or in a time.
    #[error("{whose} {limit} reached")]
    Limit {
        /// Whose calls were counted.
        whose: Whose,
        /// Which limit.
        limit: Limit,
        /// When asking again may help.
        retry_after: Duration,
    },
    /// The day's budget is spent, or set aside for calls that are running.
    #[error("the budget of the day is spent")]
    Budget {
        /// When asking again may help.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The SIP status that says it: 403 for what will not change, 480 for what passes (RFC 3261 section 21.4).
    pub fn status(&self) -> u16 {
        match self {
            Self::NotAllowed | Self::Premium | Self::Unpriced => 403,
            Self::Limit { .. } | Self::Budget { .. } => 480,
        }
    }

    /// When asking again may help, if it may.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotAllowed | Self::Premium | Self::Unpriced => None,
            Self::Limit { retry_after, .. } | Self::Budget { retry_after } => Some(*retry_after),
        }
    }
}

/// Whose calls were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This caller's.
    Caller,
    /// Everybody's.
    Everybody,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "the caller's",
            Self::Everybody => "everybody's",
        })
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calls at once.
    AtOnce,
    /// Calls in a minute.
    PerMinute,
    /// Calls in an hour.
    PerHour,
    /// Calls in a day.
    PerDay,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "limit of calls at once is",
            Self::PerMinute => "limit of calls in a minute is",
            Self::PerHour => "limit of calls in an hour is",
            Self::PerDay => "limit of calls in a day is",
        })
    }
}

/// What was dialled so far, and what is running.
#[derive(Debug)]
pub struct Dialling {
    rules: Rules,
    everybody: Counts,
    callers: Recent<String, Counts>,
    spent: Window,
    running: BTreeMap<PermitId, Running>,
    next_id: u64,
}

impl Dialling {
    /// Nothing was dialled yet.
    pub fn new(rules: Rules, now: Instant) -> Self {
        Self {
            everybody: Counts::new(now),
            callers: Recent::new(CALLERS_MAX),
            spent: Window::new(DAY, now),
            running: BTreeMap::new(),
            next_id: 0,
            rules,
        }
    }

    /// Asks to dial. `parties` is the number as the caller dialled it and, where it is rewritten, as it goes to the
    /// trunk: every reading that is a number of the world must be allowed. `caller` is who pays in the end: a user,
    /// a trunk, an address.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was counted then.
    pub fn permit(&mut self, caller: &str, parties: &[Party], now: Instant) -> Result<Permit, Refusal> {
        let price = self.rules.judge(parties)?;
        let running = |of: Option<&str>| {
            self.running.values().filter(|running| of.is_none_or(|caller| running.caller == caller)).count() as u32
        };
        let (all, own) = (running(None), running(Some(caller)));
        let rules = &self.rules;
        let caps = [rules.calls_per_minute, rules.calls_per_hour, rules.calls_per_day];
        self.everybody.check(Whose::Everybody, all, rules.calls_at_once, caps, now)?;
        let caps = [rules.caller_calls_per_minute, rules.caller_calls_per_hour, rules.caller_calls_per_day];
        let counts = self.callers.touch(&caller.to_owned(), || Counts::new(now));
        counts.check(Whose::Caller, own, rules.caller_calls_at_once, caps, now)?;
        let reserved_s = u64::from(rules.reserve_minutes.min(rules.call_minutes_max)) * 60;
        let cost = price.unwrap_or_default().of(reserved_s);
        if let Some(budget) = rules.budget_per_day {
            let held = self.running.values().fold(0_u64, |sum, running| sum.saturating_add(running.held().micros));
            let taken = held.saturating_add(cost.micros);
            if self.spent.sum(now).saturating_add(taken) > budget.micros {
                let wait = if taken > budget.micros { RETRY } else { self.spent.wait(budget.micros - taken, now) };
                return Err(Refusal::Budget { retry_after: wait.max(RETRY) });
            }
        }
        self.everybody.add(now);
        counts.add(now);
        self.next_id += 1;
        let id = PermitId(self.next_id);
        let running = Running { caller: caller.to_owned(), since: now, price: price.unwrap_or_default(), reserved_s };
        let permit = Permit { id, renew_by: running.ends_at() };
        self.running.insert(id, running);
        Ok(permit)
    }

    /// Asks to go on. `None`: the call must end now, being too long, or the budget being spent; give the permit back.
    pub fn renew(&mut self, id: PermitId, now: Instant) -> Option<Permit> {
        let held = self.running.values().fold(0_u64, |sum, running| sum.saturating_add(running.held().micros));
        let spent = self.spent.sum(now);
        let running = self.running.get_mut(&id)?;
        let longest_s = u64::from(self.rules.call_minutes_max) * 60;
        if now < running.ends_at() {
            return Some(Permit { id, renew_by: running.ends_at() });
        }
        let reserved_s = (running.reserved_s + u64::from(self.rules.reserve_minutes) * 60).min(longest_s);
        let more = running.price.of(reserved_s).micros.saturating_sub(running.held().micros);
        let is_affordable = self
            .rules
            .budget_per_day
            .is_none_or(|budget| spent.saturating_add(held).saturating_add(more) <= budget.micros);
        if reserved_s <= running.reserved_s || !is_affordable {
            return None;
        }
        running.reserved_s = reserved_s;
        Some(Permit { id, renew_by: running.ends_at() })
    }

    /// The call has ended, or came to nothing: `answered` is when it began to cost. What it cost is spent, what was
    /// set aside is free again. Unknown permits are ignored.
    pub fn ended(&mut self, id: PermitId, answered: Option<Instant>, now: Instant) {
        let Some(running) = self.running.remove(&id) else { return };
        let lasted = answered.map_or(Duration::ZERO, |answered| now.saturating_duration_since(answered));
        let seconds = lasted.as_secs() + u64::from(lasted.subsec_nanos() > 0);
        self.spent.add(running.price.of(seconds).micros, now);
    }

    /// How many calls are running.
    #[cfg(test)]
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// What the calls of the last 24 hours cost, running ones as far as they are paid for.
    #[cfg(test)]
    pub(crate) fn spent(&mut self, now: Instant) -> Money {
        let held = self.running.values().fold(0_u64, |sum, running| sum.saturating_add(running.held().micros));
        Money { micros: self.spent.sum(now).saturating_add(held) }
    }
}

#[derive(Debug)]
struct Running {
    caller: String,
    since: Instant,
    price: Money,
    reserved_s: u64,
}

impl Running {
    fn held(&self) -> Money {
        self.price.of(self.reserved_s)
    }

    fn ends_at(&self) -> Instant {
        self.since + Duration::from_secs(self.reserved_s)
    }
}

/// Calls begun in the last minute, hour and day.
#[derive(Debug)]
struct Counts([Window; 3]);

impl Counts {
    fn new(now: Instant) -> Self {
        Self([MINUTE, HOUR, DAY].map(|span| Window::new(span, now)))
    }

    fn add(&mut self, now: Instant) {
        for window in &mut self.0 {
            window.add(1, now);
        }
    }

    fn check(&mut self, whose: Whose, running: u32, at_once: u32, caps: [u32; 3], now: Instant) -> Result<(), Refusal> {
        if running >= at_once {
            return Err(Refusal::Limit { whose, limit: Limit::AtOnce, retry_after: RETRY });
        }
        let limits = [Limit::PerMinute, Limit::PerHour, Limit::PerDay];
        for ((window, cap), limit) in self.0.iter_mut().zip(caps).zip(limits) {
            if window.sum(now) >= u64::from(cap) {
                // A limit of nothing never passes.
                let wait = if cap == 0 { DAY } else { window.wait(u64::from(cap) - 1, now) };
                return Err(Refusal::Limit { whose, limit, retry_after: wait.max(RETRY) });
            }
        }
        Ok(())
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Nobody needs to ask more often.
const RETRY: Duration = Duration::from_secs(5);

/// Callers that are remembered: 4,096 cost about 2 MB. More than any office has; whoever makes up callers to be
/// forgotten meets the limits on everybody.
const CALLERS_MAX: usize = 4_096;

/// A day: longer calls and reservations make no sense.
const MINUTES_MAX: u32 = 1_440;

/// Longer ones are no short numbers; those have a `+`.
const SHORT_DIGITS_MAX: usize = 8;

#[cfg(test)]
mod tests;
