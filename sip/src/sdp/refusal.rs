//! Why there is no agreement, in words for the far end: 488 (Not Acceptable Here) with a Warning (RFC 3261 section 20.43).

use thiserror::Error;

/// How much of what the far end said is repeated to it.
const QUOTED_MAX: usize = 120;

/// Why an offer is not answered, or an answer not accepted. What it repeats of the far end is short and printable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no audio section, or all are switched off.
    #[error("there is no audio: offer a section of audio with a port")]
    NoAudio,
    /// No codec is known to both.
    #[error("no codec in common: {offered} was offered, {known} is known here")]
    NoCodec {
        /// Theirs.
        offered: String,
        /// Ours.
        known: String,
    },
    /// The transport is none of RTP's.
    #[error("{0} is no transport that is known here: offer RTP/AVP or RTP/SAVP")]
    Transport(String),
    /// Protected by DTLS, which this line does not do.
    #[error("keys by DTLS are not known here: offer RTP/SAVP with a=crypto, or RTP/AVP")]
    Dtls,
    /// Not protected, where policy wants it.
    #[error("media must be protected here: offer RTP/SAVP with a=crypto")]
    NotProtected,
    /// Protected otherwise or not at all, where policy wants keys by DTLS.
    #[error("media must be protected by DTLS here: offer UDP/TLS/RTP/SAVP with a=fingerprint and a=setup")]
    NotByDtls,
    /// Protected, where policy forbids it.
    #[error("media is not protected here: offer RTP/AVP")]
    Protected,
    /// No set of algorithms is known to both, or no key can be read.
    #[error("no a=crypto line can be used: {0}")]
    NoCrypto(&'static str),
    /// A DTLS description that cannot be followed.
    #[error("the DTLS description cannot be followed: {0}")]
    BadDtls(&'static str),
    /// No place to send to.
    #[error("there is no c= line for the audio")]
    NoAddress,
    /// A name instead of an address.
    #[error("c= names a host: give its address")]
    HostName,
    /// An address of the other family.
    #[error("the address is of another family than ours: offer one of {0}")]
    Family(&'static str),
    /// An address that is a group's.
    #[error("multicast is not spoken here")]
    Multicast,
    /// An answer that does not fit the offer: ours was asked one thing and answered another.
    #[error("the answer does not fit the offer: {0}")]
    Unfit(&'static str),
}

impl Refusal {
    /// The code of the Warning.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Family(_) => 300,
            Self::HostName => 301,
            Self::Transport(_) | Self::Dtls | Self::Protected => 302,
            Self::NoAudio => 304,
            Self::NoCodec { .. } => 305,
            Self::NoCrypto(_) | Self::BadDtls(_) => 306,
            Self::NoAddress => 307,
            Self::Multicast => 330,
            Self::NotProtected | Self::NotByDtls | Self::Unfit(_) => 399,
        }
    }

    /// The value of the Warning header, from `agent`: our host, or a name for it.
    pub fn warning(&self, agent: &str) -> String {
        let text: String = self.to_string().chars().map(|c| if c == '"' || c == '\\' { '\'' } else { c }).collect();
        format!("{} {agent} \"{text}\"", self.code())
    }
}

/// What the far end said, fit to be repeated.
pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = words.into_iter().take(12).collect::<Vec<_>>().join(", ");
    text.retain(|letter| letter.is_ascii_graphic() || letter == ' ');
    text.truncate(QUOTED_MAX);
    if text.is_empty() { "nothing".to_owned() } else { text }
}
