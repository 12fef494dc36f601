//! Money, without rounding: millionths of whatever the prices are in.

use std::fmt;

use serde::{Deserialize, de::Error as _};

/// An amount in the configured currency.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// Millionths.
    pub micros: u64,
}

impl Money {
    /// What `seconds` cost at this price of a minute; begun seconds count.
    pub fn of(self, seconds: u64) -> Self {
        let micros = (u128::from(self.micros) * u128::from(seconds)).div_ceil(60);
        Self { micros: micros.try_into().unwrap_or(u64::MAX) }
    }

    /// From a number as people write prices, such as 0.0149.
    fn read(amount: f64) -> Option<Self> {
        let micros = (amount * 1e6).round();
        // Above a billion nobody means it, and below it every millionth is exact.
        (0.0..=1e15).contains(&micros).then_some(Self { micros: micros as u64 })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let part = format!("{part:06}");
        let part = part.trim_end_matches('0');
        write!(f, "{whole}.{part:0<2}")
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = f64::deserialize(deserializer)?;
        Self::read(amount).ok_or_else(|| D::Error::custom(format!("{amount} is no amount of money")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_and_begun_seconds_count() {
        let price = Money::read(0.0149).unwrap();
        assert_eq!(price.micros, 14_900);
        assert_eq!(price.of(60), price);
        assert_eq!(price.of(1).micros, 249);
        assert_eq!(price.of(0).micros, 0);
        assert_eq!(Money { micros: u64::MAX }.of(u64::MAX).micros, u64::MAX);
        assert_eq!((price.to_string(), Money::read(20.0).unwrap().to_string()), ("0.0149".into(), "20.00".into()));
        for amount in [-0.01, f64::NAN, f64::INFINITY, 2e9] {
            assert_eq!(Money::read(amount), None);
        }
    }
}
