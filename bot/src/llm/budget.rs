//! What a call may spend on models: a purse for each call, out of which every question is paid.
//!
//! Before a question is asked its cost is set aside, the most that the answer may take among it; when the answer has
//! ended, what it really took is booked. So questions at the same time cannot spend the same money, and an answer is
//! cut rather than the limit passed, as far as the estimate of what is read is right. Told no time, does no IO; a short
//! lock, never held while anything waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Message, Request, Trouble, Usage, provider::Price};
use crate::routing::money::Money;

/// The limits of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Money. Models without a price are not counted.
    pub money: Option<Money>,
}

/// The purse of one call. Clones are the same purse.
#[derive(Clone, Debug, Default)]
pub struct Purse(Arc<Mutex<Ledger>>);

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens, read and written.
    pub tokens: u64,
    /// Money.
    pub money: Money,
}

#[derive(Debug, Default)]
struct Ledger {
    limits: Limits,
    spent: Spent,
    set_aside: Spent,
}

/// An answer with fewer tokens than this is no sentence.
const OUTPUT_TOKENS_MIN: u32 = 16;

impl Purse {
    /// A purse with limits.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Ledger { limits, ..Ledger::default() })))
    }

    /// A purse that is never empty; it counts all the same.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// What was spent so far, without what is set aside for answers that are coming in.
    pub fn spent(&self) -> Spent {
        self.ledger().spent
    }

    /// Sets aside what a question may cost; the charge says how many tokens its answer may take.
    ///
    /// # Errors
    /// [`Trouble::Spent`] when not even a short answer can be paid.
    pub(super) fn open(&self, request: &Request, price: Price) -> Result<Charge, Trouble> {
        let input_tokens = estimate(request);
        let mut ledger = self.ledger();
        let mut output_tokens = request.max_tokens;
        if let Some(limit) = ledger.limits.tokens {
            let left = limit.saturating_sub(ledger.spent.tokens).saturating_sub(ledger.set_aside.tokens);
            let left = left.checked_sub(input_tokens.into()).ok_or(Trouble::Spent { what: "tokens" })?;
            output_tokens = affordable(output_tokens, left.try_into().unwrap_or(u32::MAX), "tokens")?;
        }
        if let Some(limit) = ledger.limits.money {
            let held = ledger.spent.money.micros.saturating_add(ledger.set_aside.money.micros);
            let input = price.of(input_tokens, 0).micros;
            let left = Money { micros: limit.micros.saturating_sub(held).saturating_sub(input) };
            if input > limit.micros.saturating_sub(held) {
                return Err(Trouble::Spent { what: "money" });
            }
            output_tokens = affordable(output_tokens, price.output_tokens(left).unwrap_or(u32::MAX), "money")?;
        }
        let set_aside = Spent {
            tokens: u64::from(input_tokens) + u64::from(output_tokens),
            money: price.of(input_tokens, output_tokens),
        };
        ledger.set_aside.add(set_aside);
        Ok(Charge {
            purse: self.clone(),
            price,
            set_aside,
            output_tokens,
            booked: Usage { input_tokens, output_tokens: 0 },
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn affordable(wanted: u32, left: u32, what: &'static str) -> Result<u32, Trouble> {
    let most = wanted.min(left);
    if most < wanted.min(OUTPUT_TOKENS_MIN) { Err(Trouble::Spent { what }) } else { Ok(most) }
}

impl Spent {
    fn add(&mut self, more: Self) {
        self.tokens = self.tokens.saturating_add(more.tokens);
        self.money.micros = self.money.micros.saturating_add(more.money.micros);
    }

    fn take(&mut self, less: Self) {
        self.tokens = self.tokens.saturating_sub(less.tokens);
        self.money.micros = self.money.micros.saturating_sub(less.money.micros);
    }
}

/// What is set aside for one question to one provider. Dropping it books what is known by then: an answer that nobody
/// waits for any more was read and begun all the same.
#[derive(Debug)]
pub(super) struct Charge {
    purse: Purse,
    price: Price,
    set_aside: Spent,
    output_tokens: u32,
    booked: Usage,
}

impl Charge {
    /// The most tokens that the answer may take.
    pub(super) fn output_tokens(&self) -> u32 {
        self.output_tokens
    }

    /// So many bytes of words, calls and thoughts came so far.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.booked.output_tokens = tokens(bytes);
    }

    /// The provider did not take the question: it costs nothing.
    pub(super) fn void(mut self) {
        self.booked = Usage::default();
    }

    /// The answer is complete; `usage` is the vendor's count, where it counts. What was booked comes back.
    pub(super) fn settle(mut self, usage: Usage) -> (Usage, Money) {
        if usage.input_tokens > 0 {
            self.booked.input_tokens = usage.input_tokens;
        }
        if usage.output_tokens > 0 {
            self.booked.output_tokens = usage.output_tokens;
        }
        (self.booked, self.price.of(self.booked.input_tokens, self.booked.output_tokens))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Usage { input_tokens, output_tokens } = self.booked;
        let mut ledger = self.purse.ledger();
        ledger.set_aside.take(self.set_aside);
        ledger.spent.add(Spent {
            tokens: u64::from(input_tokens) + u64::from(output_tokens),
            money: self.price.of(input_tokens, output_tokens),
        });
    }
}

/// How many tokens a question takes to read, about.
fn estimate(request: &Request) -> u32 {
    let messages = request.messages.iter().map(|message| match message {
        Message::User(text) => text.len(),
        Message::Assistant { text, calls } => {
            text.len() + calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>()
        }
        Message::ToolResult { content, .. } => content.len(),
    });
    let tools =
        request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
    let bytes = request.system.len() + messages.chain(tools).map(|bytes| bytes + FRAME_BYTES).sum::<usize>();
    tokens(bytes)
}

/// A message's frame takes some four tokens.
const FRAME_BYTES: usize = 4 * BYTES_PER_TOKEN;

/// English takes four bytes a token, German somewhat more than three: the dearer one.
const BYTES_PER_TOKEN: usize = 3;

fn tokens(bytes: usize) -> u32 {
    bytes.div_ceil(BYTES_PER_TOKEN).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(bytes: usize, max_tokens: u32) -> Request {
        Request { system: "x".repeat(bytes), max_tokens, ..Request::default() }
    }

    fn price(input: u64, output: u64) -> Price {
        Price { input: Money { micros: input }, output: Money { micros: output } }
    }

    #[test]
    fn an_answer_is_cut_rather_than_the_limit_passed() {
        let purse = Purse::new(Limits { tokens: Some(200), money: None });
        let first = purse.open(&question(300, 60), Price::default()).unwrap();
        assert_eq!(first.output_tokens(), 60);
        // While the first is coming in, what it may take is not there for others.
        let refused = purse.open(&question(300, 60), Price::default()).unwrap_err();
        assert_eq!(refused, Trouble::Spent { what: "tokens" });
        let second = purse.open(&question(30, 60), Price::default()).unwrap();
        assert_eq!(second.output_tokens(), 30);
        let (usage, cost) = first.settle(Usage { input_tokens: 90, output_tokens: 20 });
        assert_eq!((usage.input_tokens, usage.output_tokens, cost.micros), (90, 20, 0));
        assert_eq!(purse.spent().tokens, 110);
        second.void();
        assert_eq!(purse.spent().tokens, 110);
        assert_eq!(purse.open(&question(30, 600), Price::default()).unwrap().output_tokens(), 80);
    }

    #[test]
    fn money_is_counted_by_each_models_price() {
        let purse = Purse::new(Limits { tokens: None, money: Some(Money { micros: 1_000 }) });
        let dear = price(1_000_000, 10_000_000);
        let charge = purse.open(&question(300, 500), dear).unwrap();
        assert_eq!(charge.output_tokens(), 90);
        assert_eq!(charge.settle(Usage { input_tokens: 100, output_tokens: 85 }).1.micros, 950);
        assert_eq!(purse.open(&question(300, 500), dear).unwrap_err(), Trouble::Spent { what: "money" });
        // A model of one's own is asked all the same.
        assert_eq!(purse.open(&question(300, 500), Price::default()).unwrap().output_tokens(), 500);
    }

    #[test]
    fn what_a_vendor_does_not_count_is_estimated() {
        let purse = Purse::unlimited();
        let mut charge = purse.open(&question(30, 50), Price::default()).unwrap();
        charge.wrote(9);
        drop(charge);
        assert_eq!(purse.spent().tokens, 13);
        let mut charge = purse.open(&question(30, 50), Price::default()).unwrap();
        charge.wrote(9);
        let (usage, _) = charge.settle(Usage::default());
        assert_eq!(usage, Usage { input_tokens: 10, output_tokens: 3 });
    }

    proptest! {
        #[test]
        fn no_order_of_questions_passes_the_limit(
            limit in 0_u64..2_000,
            questions in proptest::collection::vec((0_usize..600, 0_u32..300, 0_u32..300, any::<bool>()), 0..20),
        ) {
            let purse = Purse::new(Limits { tokens: Some(limit), money: None });
            let mut open = Vec::new();
            for (bytes, max_tokens, wrote, waits) in questions {
                let Ok(charge) = purse.open(&question(bytes, max_tokens), Price::default()) else { continue };
                let usage = Usage {
                    input_tokens: tokens(bytes),
                    output_tokens: wrote.min(charge.output_tokens()),
                };
                if waits {
                    open.push((charge, usage));
                } else {
                    charge.settle(usage);
                }
            }
            for (charge, usage) in open {
                charge.settle(usage);
            }
            prop_assert!(purse.spent().tokens <= limit);
        }
    }
}
