//! Who waits in one queue, in which order, and how long that takes: a value that is told the time.
//!
//! Whoever came first is first. Somebody who was taken is no longer waiting, but keeps their place until they are
//! connected: when that comes to nothing they are first again. Bounded by the size that whoever enters allows.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bot::ivr::input::Standing;

/// Waits that the average is made of: the last half hour of a busy line.
const WAITS_KEPT: usize = 32;

/// One who waits; counts up, so the lower came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Line<T> {
    members: BTreeMap<Ticket, Member<T>>,
    tickets: u64,
    /// How long those waited who were connected last.
    waits: VecDeque<Duration>,
}

#[derive(Debug)]
struct Member<T> {
    who: T,
    entered: Instant,
    is_taken: bool,
}

impl<T> Line<T> {
    pub(super) fn new() -> Self {
        Self { members: BTreeMap::new(), tickets: 0, waits: VecDeque::new() }
    }

    /// Lets somebody wait; `None` when so many do already.
    pub(super) fn enter(&mut self, who: T, size_max: u32, now: Instant) -> Option<Ticket> {
        if self.members.len() >= size_max as usize {
            return None;
        }
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.members.insert(ticket, Member { who, entered: now, is_taken: false });
        Some(ticket)
    }

    /// Lets somebody go, however they stand.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        Some(self.members.remove(&ticket)?.who)
    }

    /// Takes whoever waits longest of those whom `wanted` wants.
    pub(super) fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<(Ticket, &T)> {
        let mut waiting = self.members.iter_mut().filter(|(_, member)| !member.is_taken);
        let (ticket, member) = waiting.find(|(_, member)| wanted(&member.who))?;
        member.is_taken = true;
        Some((*ticket, &member.who))
    }

    /// One who was taken.
    pub(super) fn taken(&self, ticket: Ticket) -> Option<&T> {
        self.members.get(&ticket).filter(|member| member.is_taken).map(|member| &member.who)
    }

    /// Whoever was taken waits again, where they waited.
    pub(super) fn give_back(&mut self, ticket: Ticket) -> Option<&T> {
        let member = self.members.get_mut(&ticket).filter(|member| member.is_taken)?;
        member.is_taken = false;
        Some(&member.who)
    }

    /// Whoever was taken is connected: they do not wait any more.
    pub(super) fn connect(&mut self, ticket: Ticket, now: Instant) -> Option<T> {
        let member = self.members.remove(&ticket)?;
        if self.waits.len() >= WAITS_KEPT {
            self.waits.pop_front();
        }
        self.waits.push_back(now.saturating_duration_since(member.entered));
        Some(member.who)
    }

    /// Who waits, from the front, with when they came.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&T, Instant)> {
        let waiting = self.members.values().filter(|member| !member.is_taken);
        waiting.map(|member| (&member.who, member.entered))
    }

    /// How everybody who waits stands.
    pub(super) fn standings(&self, now: Instant) -> Vec<(&T, Standing)> {
        let average_wait = self.average_wait(now);
        let waiting: Vec<_> = self.waiting().collect();
        let size = count(waiting.len());
        let standing = |at: usize| Standing { position: count(at + 1), size, average_wait };
        waiting.into_iter().enumerate().map(|(at, (who, _))| (who, standing(at))).collect()
    }

    /// How long callers wait: those who were connected last, or, while nobody was, those who are here.
    pub(super) fn average_wait(&self, now: Instant) -> Duration {
        if !self.waits.is_empty() {
            return mean(self.waits.iter().copied());
        }
        mean(self.waiting().map(|(_, entered)| now.saturating_duration_since(entered)))
    }

    /// How long those have waited on average who are here.
    pub(super) fn wait_now(&self, now: Instant) -> Duration {
        mean(self.waiting().map(|(_, entered)| now.saturating_duration_since(entered)))
    }

    /// Whether nobody is here, waiting or about to be connected.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

fn mean(waits: impl Iterator<Item = Duration>) -> Duration {
    let (sum, many) = waits.fold((Duration::ZERO, 0_u32), |(sum, many), wait| (sum + wait, many + 1));
    sum.checked_div(many).unwrap_or_default()
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; no test depends on which"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn positions(line: &Line<char>, at: Instant) -> Vec<(char, u32, u32)> {
        line.standings(at).into_iter().map(|(who, standing)| (*who, standing.position, standing.size)).collect()
    }

    #[test]
    fn the_first_who_came_is_the_first_to_go_and_whoever_is_given_back_is_first_again() {
        let (mut line, at) = (Line::new(), now());
        let [a, b, _] = ['a', 'b', 'c'].map(|who| line.enter(who, 3, at).unwrap());
        assert_eq!(line.enter('d', 3, at), None);
        assert_eq!(line.take(|_| true), Some((a, &'a')));
        assert_eq!(positions(&line, at), [('b', 1, 2), ('c', 2, 2)]);
        // Who is about to be connected may come back: their place is kept.
        assert_eq!(line.enter('d', 3, at), None);
        assert_eq!(line.take(|who| *who == 'b'), Some((b, &'b')));
        assert_eq!(line.give_back(a), Some(&'a'));
        assert_eq!(line.give_back(a), None);
        assert_eq!(positions(&line, at), [('a', 1, 2), ('c', 2, 2)]);
        assert_eq!(line.connect(b, at), Some('b'));
        assert_eq!(line.leave(a), Some('a'));
        assert_eq!(line.leave(a), None);
        assert_eq!(positions(&line, at), [('c', 1, 1)]);
        assert_eq!(line.take(|who| *who == 'b'), None);
    }

    #[test]
    fn the_average_is_of_those_who_were_connected_and_before_that_of_those_who_wait() {
        let (mut line, began) = (Line::new(), now());
        assert_eq!(line.average_wait(began), Duration::ZERO);
        let a = line.enter('a', 9, began).unwrap();
        line.enter('b', 9, began + seconds(10)).unwrap();
        assert_eq!(line.average_wait(began + seconds(20)), seconds(15));
        line.take(|_| true);
        line.connect(a, began + seconds(40));
        assert_eq!(line.average_wait(began + seconds(90)), seconds(40));
        assert_eq!(line.wait_now(began + seconds(90)), seconds(80));
        for n in 0..100 {
            let ticket = line.enter('x', 9, began).unwrap();
            line.connect(ticket, began + seconds(n % 2 * 10));
        }
        assert_eq!(line.average_wait(began), seconds(5));
    }

    proptest! {
        #[test]
        fn positions_count_from_one_without_holes_in_the_order_of_arrival(
            steps in prop::collection::vec((0_u8..5, any::<prop::sample::Index>()), 1..80),
        ) {
            let (mut line, at) = (Line::new(), now());
            let mut waiting: Vec<(Ticket, usize)> = Vec::new();
            let mut taken: Vec<(Ticket, usize)> = Vec::new();
            for (n, (step, which)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let is_full = waiting.len() + taken.len() == 6;
                        let ticket = line.enter(n, 6, at);
                        prop_assert_eq!(ticket.is_none(), is_full);
                        waiting.extend(ticket.map(|ticket| (ticket, n)));
                    }
                    2 => {
                        let first = (!waiting.is_empty()).then(|| waiting.remove(0));
                        prop_assert_eq!(line.take(|_| true).map(|(ticket, who)| (ticket, *who)), first);
                        taken.extend(first);
                    }
                    3 if !taken.is_empty() => {
                        let back = taken.remove(which.index(taken.len()));
                        prop_assert_eq!(line.give_back(back.0), Some(&back.1));
                        waiting.push(back);
                        waiting.sort();
                    }
                    4 if !taken.is_empty() => {
                        let (ticket, who) = taken.remove(which.index(taken.len()));
                        prop_assert_eq!(line.connect(ticket, at), Some(who));
                    }
                    _ => {}
                }
                let standings = line.standings(at);
                prop_assert_eq!(standings.len(), waiting.len());
                for ((at, (_, expected)), (who, standing)) in waiting.iter().enumerate().zip(standings) {
                    prop_assert_eq!((*who, standing.position as usize), (*expected, at + 1));
                    prop_assert_eq!(standing.size as usize, waiting.len());
                }
                prop_assert_eq!(line.is_empty(), waiting.is_empty() && taken.is_empty());
            }
        }
    }
}
