//! Diarization errors: how far who was heard is from who spoke.
//!
//! As the field measures it, without a collar and with overlap scored: speakers who were not heard, speech that
//! nobody spoke, and speech given to somebody else, against all speech there is. Whoever was heard is first paired
//! with whoever spoke so that most is right. A speaker called `unknown` is never paired: what is unknown is wrong,
//! and counted apart, since it harms less than a wrong name.

use std::ops::AddAssign;

/// Somebody speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Talk {
    /// Who.
    pub speaker: String,
    /// From when, in seconds.
    pub start_s: f64,
    /// Until when, in seconds.
    pub end_s: f64,
}

/// Reads the `SPEAKER` lines of an RTTM file.
///
/// # Panics
/// When a line has no numbers where they belong: a test's own data is broken.
pub fn rttm(text: &str) -> Vec<Talk> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields.first() == Some(&"SPEAKER"))
        .map(|fields| {
            let number = |at: usize| fields[at].parse::<f64>().expect("RTTM has its times in seconds");
            Talk { speaker: fields[7].to_owned(), start_s: number(3), end_s: number(3) + number(4) }
        })
        .collect()
}

/// Seconds of each kind of error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    /// Speech there is: two who speak at once count twice.
    pub spoken_s: f64,
    /// Speech of which nothing was heard.
    pub missed_s: f64,
    /// Heard where nobody spoke.
    pub false_alarm_s: f64,
    /// Given to somebody else, or to nobody known.
    pub confused_s: f64,
    /// Of what was confused: given to nobody known.
    pub unknown_s: f64,
}

impl Errors {
    /// Compares the first `until_s` seconds.
    pub fn between(truth: &[Talk], heard: &[Talk], until_s: f64) -> Self {
        let (people, voices) = (names(truth), names(heard));
        let mut edges: Vec<f64> = truth.iter().chain(heard).flat_map(|talk| [talk.start_s, talk.end_s]).collect();
        edges.extend([0.0, until_s]);
        edges.retain(|edge| (0.0..=until_s).contains(edge));
        edges.sort_by(f64::total_cmp);

        let mut moments: Vec<Moment> = Vec::new();
        let mut shared = vec![vec![0.0; voices.len()]; people.len()];
        for edge in edges.windows(2) {
            let (length_s, middle_s) = (edge[1] - edge[0], (edge[0] + edge[1]) / 2.0);
            let spoke = speaking(truth, &people, middle_s);
            let named = speaking(heard, &voices, middle_s);
            let unknown = usize::from(heard.iter().any(|talk| talk.speaker == UNKNOWN && talk.holds(middle_s)));
            for &person in &spoke {
                for &voice in &named {
                    shared[person][voice] += length_s;
                }
            }
            moments.push(Moment { length_s, spoke, named, unknown });
        }

        let pairs = pairs(&shared);
        let mut errors = Self::default();
        for Moment { length_s, spoke, named, unknown } in moments {
            let is_right = |person: &&usize| pairs[**person].is_some_and(|voice| named.contains(&voice));
            let right = spoke.iter().filter(is_right).count();
            let heard = named.len() + unknown;
            let length = |count: usize| count as f64 * length_s;
            errors.spoken_s += length(spoke.len());
            errors.missed_s += length(spoke.len().saturating_sub(heard));
            errors.false_alarm_s += length(heard.saturating_sub(spoke.len()));
            errors.confused_s += length(spoke.len().min(heard) - right);
            errors.unknown_s += length(spoke.len().min(heard) - spoke.len().min(named.len()));
        }
        errors
    }

    /// The diarization error rate: all errors against all speech; zero where there is neither.
    pub fn rate(&self) -> f64 {
        let errors = self.missed_s + self.false_alarm_s + self.confused_s;
        if errors == 0.0 { 0.0 } else { errors / self.spoken_s }
    }
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.spoken_s += other.spoken_s;
        self.missed_s += other.missed_s;
        self.false_alarm_s += other.false_alarm_s;
        self.confused_s += other.confused_s;
        self.unknown_s += other.unknown_s;
    }
}

impl Talk {
    fn holds(&self, at_s: f64) -> bool {
        self.start_s <= at_s && at_s < self.end_s
    }
}

/// A stretch of time in which nothing changes.
struct Moment {
    length_s: f64,
    spoke: Vec<usize>,
    named: Vec<usize>,
    unknown: usize,
}

/// What a speaker is called whom nobody knows.
const UNKNOWN: &str = "unknown";

/// Everybody by name, each once, but for the unknown.
fn names(talks: &[Talk]) -> Vec<&str> {
    let mut names: Vec<&str> = talks.iter().map(|talk| talk.speaker.as_str()).filter(|name| *name != UNKNOWN).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Which of `names` speak at a moment.
fn speaking(talks: &[Talk], names: &[&str], at_s: f64) -> Vec<usize> {
    let speaks = |name: &str| talks.iter().any(|talk| talk.speaker == name && talk.holds(at_s));
    (0..names.len()).filter(|&index| speaks(names[index])).collect()
}

/// For each row the column it is paired with, so that the sum over all pairs is the largest there is (the Hungarian
/// method, row by row with potentials).
fn pairs(gain: &[Vec<f64>]) -> Vec<Option<usize>> {
    let rows = gain.len();
    let columns = gain.first().map_or(0, Vec::len);
    // Columns that stand for no partner make room for every row; index 0 is nobody on either side.
    let width = rows.max(columns);
    let cost = |row: usize, column: usize| -> f64 { if column <= columns { -gain[row - 1][column - 1] } else { 0.0 } };
    let (mut row_price, mut column_price) = (vec![0.0; rows + 1], vec![0.0; width + 1]);
    let mut taken_by = vec![0; width + 1];
    for row in 1..=rows {
        taken_by[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; width + 1];
        let mut from = vec![0; width + 1];
        let mut seen = vec![false; width + 1];
        while taken_by[column] != 0 {
            seen[column] = true;
            let here = taken_by[column];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for other in (1..=width).filter(|&other| !seen[other]) {
                let reduced = cost(here, other) - row_price[here] - column_price[other];
                if reduced < least[other] {
                    (least[other], from[other]) = (reduced, column);
                }
                if least[other] < step {
                    (step, next) = (least[other], other);
                }
            }
            for (other, &seen) in seen.iter().enumerate() {
                if seen {
                    row_price[taken_by[other]] += step;
                    column_price[other] -= step;
                } else {
                    least[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            taken_by[column] = taken_by[from[column]];
            column = from[column];
        }
    }
    let mut pairs = vec![None; rows];
    for column in (1..=columns).filter(|&column| taken_by[column] != 0) {
        pairs[taken_by[column] - 1] = Some(column - 1);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talks(text: &str) -> Vec<Talk> {
        let talk = |part: &str| {
            let fields: Vec<&str> = part.split(' ').collect();
            let number = |at: usize| fields[at].parse().unwrap();
            Talk { speaker: fields[0].to_owned(), start_s: number(1), end_s: number(2) }
        };
        text.split(", ").filter(|part| !part.is_empty()).map(talk).collect()
    }

    /// Missed, false alarm, confused, of these unknown; in whole seconds of twenty.
    fn errors(truth: &str, heard: &str) -> [f64; 4] {
        let errors = Errors::between(&talks(truth), &talks(heard), 20.0);
        [errors.missed_s, errors.false_alarm_s, errors.confused_s, errors.unknown_s]
    }

    #[test]
    fn names_do_not_matter_and_order_does_not_either() {
        assert_eq!(errors("a 0 10, b 10 20", "y 10 20, x 0 10"), [0.0; 4]);
        assert_eq!(errors("", ""), [0.0; 4]);
    }

    #[test]
    fn each_kind_of_error_is_told_apart() {
        assert_eq!(errors("a 0 10", "x 0 5, y 5 10"), [0.0, 0.0, 5.0, 0.0]);
        assert_eq!(errors("a 0 10", "x 2 12"), [2.0, 2.0, 0.0, 0.0]);
        assert_eq!(errors("a 0 10", ""), [10.0, 0.0, 0.0, 0.0]);
        assert_eq!(errors("", "x 0 10"), [0.0, 10.0, 0.0, 0.0]);
    }

    #[test]
    fn two_who_speak_at_once_count_twice() {
        assert_eq!(errors("a 0 10, b 5 10", "x 0 10"), [5.0, 0.0, 0.0, 0.0]);
        let both = Errors::between(&talks("a 0 10, b 5 10"), &talks("x 0 10"), 20.0);
        assert_eq!((both.spoken_s, both.rate()), (15.0, 5.0 / 15.0));
        assert_eq!(errors("a 0 10", "x 0 10, y 5 10"), [0.0, 5.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_unknown_is_wrong_and_counted_apart() {
        assert_eq!(errors("a 0 10", "x 0 8, unknown 8 10"), [0.0, 0.0, 2.0, 2.0]);
        assert_eq!(errors("a 0 10", "unknown 0 10"), [0.0, 0.0, 10.0, 10.0]);
        assert_eq!(errors("a 0 10", "unknown 0 12"), [0.0, 2.0, 10.0, 10.0]);
    }

    #[test]
    fn people_are_paired_so_that_most_is_right() {
        // The longest pair first would leave six seconds right; there are ten.
        assert_eq!(errors("a 0 11, b 11 16", "x 0 6, y 6 11, x 11 16"), [0.0, 0.0, 6.0, 0.0]);
    }

    #[test]
    fn more_people_than_voices_and_fewer_are_paired() {
        assert_eq!(errors("a 0 5, b 5 10, c 10 15", "x 0 15"), [0.0, 0.0, 10.0, 0.0]);
        assert_eq!(errors("a 0 15", "x 0 5, y 5 11, z 11 15"), [0.0, 0.0, 9.0, 0.0]);
    }

    #[test]
    fn what_lies_beyond_the_end_does_not_count() {
        assert_eq!(errors("a 10 30", "x 10 40"), [0.0; 4]);
    }

    #[test]
    fn rttm_is_read_line_by_line() {
        let read = rttm("; a remark\nSPEAKER talk 1 1.500 2.000 <NA> <NA> ann <NA> <NA>\n");
        assert_eq!(read, [Talk { speaker: "ann".to_owned(), start_s: 1.5, end_s: 3.5 }]);
    }
}
