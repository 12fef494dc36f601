//! Tests of the whole module: the wires by their bytes, a question on turned time, the door by real sockets.

mod asking;
mod door;
mod requests;
mod wires;

use std::collections::BTreeSet;

use super::{Call, Delta, Done, Kind, Provider, Role, Stop, Trouble, Usage};

fn provider(name: &str, kind: Kind, base_url: &str) -> Provider {
    Provider::new(name, kind, base_url.parse().unwrap(), "some-model", Role::Primary)
}

fn text(words: &str) -> Delta {
    Delta::Text(words.to_owned())
}

/// The call of this number among those of an answer, as [`numbered`] has it.
fn call(number: usize, name: &str, arguments: &str) -> Delta {
    Delta::Call(Call { id: format!("call {number}"), name: name.to_owned(), arguments: arguments.to_owned() })
}

/// An answer with its calls numbered from 1 in the place of their ids, which are unlike each other and fit every vendor.
fn numbered(mut deltas: Vec<Delta>) -> Vec<Delta> {
    let mut ids = BTreeSet::new();
    for delta in &mut deltas {
        if let Delta::Call(call) = delta {
            assert!(call.id.len() >= 9 && call.id.bytes().all(|byte| byte.is_ascii_digit()), "{}", call.id);
            assert!(ids.insert(std::mem::take(&mut call.id)), "two calls of one id");
            call.id = format!("call {}", ids.len());
        }
    }
    deltas
}

/// What kind of trouble it is.
fn word(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NoModel => "no_model",
        Trouble::Resting { .. } => "resting",
        Trouble::Spent { .. } => "spent",
        Trouble::Unreachable { .. } => "unreachable",
        Trouble::Busy { .. } => "busy",
        Trouble::Failed { .. } => "failed",
        Trouble::Refused { .. } => "refused",
        Trouble::Redirected { .. } => "redirected",
        Trouble::Garbled { .. } => "garbled",
        Trouble::Empty { .. } => "empty",
        Trouble::TooLong { .. } => "too_long",
        Trouble::CutOff { .. } => "cut_off",
        Trouble::Late { .. } => "late",
    }
}

fn done(why: Stop, input_tokens: u32, output_tokens: u32) -> Delta {
    Delta::Done(Done { why, usage: Usage { input_tokens, output_tokens } })
}
