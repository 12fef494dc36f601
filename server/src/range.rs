//! Parts of a file that a client asks for: the `Range` header, decided as a value.
//!
//! Pure. One range of bytes is served as a part; several at once, or what is no range of bytes, are answered with
//! the whole file, as every client must expect.
//!
//! Source: RFC 9110 section 14.

use std::ops::Range;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it.
    Whole,
    /// These bytes, of which there is at least one.
    Part(Range<u64>),
    /// Nothing: the range lies behind the end.
    Nothing,
}

/// What `header` asks for of a file of `length` bytes.
pub(crate) fn sent(header: Option<&str>, length: u64) -> Sent {
    let Some(asked) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Sent::Whole };
    let Some((first, last)) = asked.split_once('-') else { return Sent::Whole };
    let part = match (number(first), number(last)) {
        // The last so many bytes.
        (Number::None, Number::Some(count)) => length.saturating_sub(count)..length,
        (Number::Some(first), Number::None) => first..length,
        (Number::Some(first), Number::Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        _ => return Sent::Whole,
    };
    if part.start < part.end { Sent::Part(part) } else { Sent::Nothing }
}

enum Number {
    None,
    Some(u64),
    Bad,
}

fn number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        return Number::None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Bad;
    }
    // Digits that do not fit are behind every end.
    Number::Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_specification_says() {
        for (header, expected) in [
            (None, Sent::Whole),
            (Some("bytes=0-499"), Sent::Part(0..500)),
            (Some("bytes=500-"), Sent::Part(500..1_000)),
            (Some("bytes=-200"), Sent::Part(800..1_000)),
            (Some("bytes=-2000"), Sent::Part(0..1_000)),
            (Some("bytes=999-5000"), Sent::Part(999..1_000)),
            (Some("bytes=1000-"), Sent::Nothing),
            (Some("bytes=99999999999999999999-"), Sent::Nothing),
            (Some("bytes=-0"), Sent::Nothing),
            (Some("bytes=5-2"), Sent::Whole),
            (Some("bytes=0-1,3-4"), Sent::Whole),
            (Some("bytes=a-b"), Sent::Whole),
            (Some("bytes=-"), Sent::Whole),
            (Some("seconds=1-2"), Sent::Whole),
        ] {
            assert_eq!(sent(header, 1_000), expected, "{header:?}");
        }
        assert_eq!(sent(Some("bytes=0-"), 0), Sent::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_lies_in_the_file(header in "bytes=[0-9,-]{0,12}|.{0,20}", length in any::<u64>()) {
            if let Sent::Part(part) = sent(Some(&header), length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
