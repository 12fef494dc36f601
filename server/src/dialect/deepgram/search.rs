//! `search`: where in the words something like the query was said.
//!
//! Letters are compared, not sounds: the best-fitting runs of words by edit distance, best first. A hit's
//! confidence is the likeness of its letters times how sure the recognizer was of its words.

use serde::Serialize;

use super::words::{Spoken, bare, mean_confidence};

/// What was found for one query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The query as it came.
    pub query: String,
    /// Where, best first.
    pub hits: Vec<Hit>,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// 0..=1.
    pub confidence: f64,
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: f64,
    /// The words there.
    pub snippet: String,
}

/// Likeness below which a place is noise.
const LIKENESS_MIN: f64 = 0.6;
/// Hits reported for one query.
const HITS_MAX: usize = 10;

/// Looks for every query.
pub fn search(queries: &[String], words: &[Spoken]) -> Vec<Found> {
    queries.iter().map(|query| Found { query: query.clone(), hits: hits(query, words) }).collect()
}

fn hits(query: &str, words: &[Spoken]) -> Vec<Hit> {
    let wanted: Vec<char> =
        query.split_whitespace().map(bare).collect::<Vec<_>>().join(" ").chars().take(128).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let count = query.split_whitespace().count();
    let mut places = Vec::new();
    for length in count.saturating_sub(1).max(1)..=count + 1 {
        for (start, run) in words.windows(length).enumerate() {
            let said: Vec<char> =
                run.iter().map(|word| word.bare.as_str()).collect::<Vec<_>>().join(" ").chars().collect();
            let longest = wanted.len().max(said.len());
            // Cheaper than the distance, and never above it: lengths alone rule most runs out.
            if said.is_empty() || 1.0 - wanted.len().abs_diff(said.len()) as f64 / (longest as f64) < LIKENESS_MIN {
                continue;
            }
            let likeness = 1.0 - distance(&wanted, &said) as f64 / longest as f64;
            if likeness >= LIKENESS_MIN {
                places.push((likeness, start, start + length));
            }
        }
    }
    places.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut hits = Vec::new();
    for (likeness, start, end) in places {
        if hits.len() == HITS_MAX || taken.iter().any(|&(from, to)| start < to && from < end) {
            continue;
        }
        taken.push((start, end));
        let run = &words[start..end];
        hits.push(Hit {
            confidence: likeness * f64::from(mean_confidence(run)),
            start: run[0].start_s,
            end: run[run.len() - 1].end_s,
            snippet: run.iter().map(|word| word.bare.as_str()).collect::<Vec<_>>().join(" "),
        });
    }
    hits
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{
        super::words::{Effects, Extent, tests::heard},
        *,
    };

    fn found(query: &str, text: &str) -> Vec<Hit> {
        let words = Effects::default().apply(&heard(text), Extent::Whole);
        search(&[query.to_owned()], &words).remove(0).hits
    }

    #[test]
    fn what_was_said_is_found_with_its_time_and_the_best_comes_first() {
        let hits = found("fellow Americans", "so my yellow american and my fellow Americans ask");
        assert_eq!(hits[0].snippet, "fellow americans");
        assert_eq!((hits[0].start, hits[0].end), (0.72, 0.94));
        assert!(hits[0].confidence > hits[1].confidence);
    }

    #[test]
    fn what_was_not_said_is_not_found() {
        assert!(found("zeppelin", "ask not what your country can do").is_empty());
        assert!(found(" ", "ask not").is_empty());
        assert!(found("ask", "").is_empty());
    }

    #[test]
    fn distance_counts_edits() {
        let edits = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }
}
