//! Tests of the whole module: the wires by their bytes, a question on turned time, the door by real sockets.

mod asking;
mod door;
mod requests;
mod wires;

use super::{Call, Delta, Done, Kind, Provider, Role, Stop, Usage};

fn provider(name: &str, kind: Kind, base_url: &str) -> Provider {
    Provider::new(name, kind, base_url.parse().unwrap(), "some-model", Role::Primary)
}

fn text(words: &str) -> Delta {
    Delta::Text(words.to_owned())
}

fn call(id: &str, name: &str, arguments: &str) -> Delta {
    Delta::Call(Call { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() })
}

fn done(why: Stop, input_tokens: u32, output_tokens: u32) -> Delta {
    Delta::Done(Done { why, usage: Usage { input_tokens, output_tokens } })
}
