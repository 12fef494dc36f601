//! What a caller trickles after its offer: fragments of SDP with more candidates (RFC 8840).
//!
//! Pure: told bytes, answers a value or why not. Only candidates that we can send UDP to are kept; a fragment
//! with other credentials than the offer's asks for an ICE restart, which the border declines.

use thiserror::Error;

use super::offer::{CANDIDATES_MAX, is_usable};

/// Ten candidates with their frame are about 1 kB.
const BYTES_MAX: usize = 16 * 1024;

/// More candidates of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The name of the ICE session that it belongs to, where it says so.
    pub ufrag: Option<String>,
    /// The candidates, as `candidate:…`.
    pub(super) candidates: Vec<String>,
    /// No more will come.
    pub is_last: bool,
}

/// Why a fragment is not taken. All of them are the caller's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FragmentError {
    /// Longer than any fragment has reason to be.
    #[error("the fragment is longer than {BYTES_MAX} bytes")]
    TooLarge,
    /// Not a fragment of SDP.
    #[error("the fragment is not SDP: {0}")]
    Malformed(&'static str),
}

impl Fragment {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`FragmentError`] when it is too long or no SDP.
    pub fn read(body: &[u8]) -> Result<Self, FragmentError> {
        if body.len() > BYTES_MAX {
            return Err(FragmentError::TooLarge);
        }
        let text = str::from_utf8(body).map_err(|_| FragmentError::Malformed("not UTF-8"))?;
        let mut fragment = Self::default();
        for line in text.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()) {
            let attribute = match line.split_at_checked(2) {
                Some(("a=", attribute)) => attribute,
                Some(("m=" | "c=" | "b=", _)) => continue,
                _ => return Err(FragmentError::Malformed("a line is neither an attribute nor a media section")),
            };
            if attribute.starts_with("candidate:") {
                if is_usable(attribute) && fragment.candidates.len() < CANDIDATES_MAX {
                    fragment.candidates.push(attribute.to_owned());
                }
            } else if attribute == "end-of-candidates" {
                fragment.is_last = true;
            } else if let Some(ufrag) = attribute.strip_prefix("ice-ufrag:") {
                fragment.ufrag.get_or_insert_with(|| ufrag.to_owned());
            }
        }
        Ok(fragment)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRICKLED: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 name.local 61765 typ host\r\n\
        a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn usable_candidates_are_kept_and_the_end_is_noticed() {
        let fragment = Fragment::read(TRICKLED.as_bytes()).unwrap();
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        assert!(fragment.is_last);
        assert_eq!(fragment.candidates.len(), 1);
        assert!(fragment.candidates[0].starts_with("candidate:1387637174 1 udp"));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        assert!(matches!(Fragment::read(b"{\"candidate\":\"\"}"), Err(FragmentError::Malformed(_))));
        assert_eq!(Fragment::read(&vec![b'a'; BYTES_MAX + 1]), Err(FragmentError::TooLarge));
        assert_eq!(Fragment::read(b""), Ok(Fragment::default()));
    }

    proptest! {
        #[test]
        fn no_byte_string_panics(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Fragment::read(&body);
        }

        #[test]
        fn no_mangled_fragment_panics(cuts in proptest::collection::vec((0..TRICKLED.len(), any::<u8>()), 0..12)) {
            let mut body = TRICKLED.as_bytes().to_vec();
            for (at, byte) in cuts {
                body[at] = byte;
            }
            let _ = Fragment::read(&body);
        }
    }
}
