//! What is wrong with an application, in the vendor's numbers, so that its developer finds it in the vendor's lists.

use std::fmt;

/// A number from the vendor's list of errors and warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u32);

impl Code {
    /// Something of this server's own that the vendor has no number for: a limit, a recognizer, a recorder.
    pub const OURS: Self = Self(0);
    /// An address is none, or one that must not be asked from here.
    pub const INVALID_URL: Self = Self(11100);
    /// A document could not be fetched: a status other than 2xx, or no answer in time.
    pub const RETRIEVAL: Self = Self(11200);
    /// Nobody took the connection.
    pub const CONNECTION: Self = Self(11205);
    /// The name of the host is unknown, or its address must not be asked.
    pub const BAD_HOST: Self = Self(11210);
    /// One redirect after the other.
    pub const TOO_MANY_REDIRECTS: Self = Self(11215);
    /// The certificate or the handshake of TLS.
    pub const TLS: Self = Self(11220);
    /// What came back was not HTTP.
    pub const PROTOCOL: Self = Self(11235);
    /// A document larger than is read.
    pub const TOO_LARGE: Self = Self(11750);
    /// Not XML, or XML of a kind that is not read.
    pub const PARSE: Self = Self(12100);
    /// XML that is no TwiML: the elements or attributes concerned are left out.
    pub const SCHEMA: Self = Self(12200);
    /// A type of content that is no document.
    pub const CONTENT_TYPE: Self = Self(12300);
    /// `Dial` with nobody to dial, or with somebody that cannot be dialled.
    pub const DIAL: Self = Self(13210);
    /// `Dial timeout` and other attributes of `Dial`.
    pub const DIAL_ATTRIBUTE: Self = Self(13212);
    /// A number that is none.
    pub const DIAL_NUMBER: Self = Self(13223);
    /// An attribute of `Conference`.
    pub const CONFERENCE: Self = Self(13237);
    /// A verb that may not stand in a document that plays while somebody waits.
    pub const WAIT_VERB: Self = Self(13238);
    /// A SIP address that is none.
    pub const SIP_URI: Self = Self(13243);
    /// `Gather finishOnKey`.
    pub const GATHER_FINISH_ON_KEY: Self = Self(13310);
    /// `Gather timeout`.
    pub const GATHER_TIMEOUT: Self = Self(13313);
    /// `Gather numDigits`.
    pub const GATHER_NUM_DIGITS: Self = Self(13314);
    /// An element that may not stand in `Gather`.
    pub const GATHER_NESTED: Self = Self(13320);
    /// `Gather speechTimeout`.
    pub const GATHER_SPEECH_TIMEOUT: Self = Self(13327);
    /// `Gather maxSpeechTime`.
    pub const GATHER_MAX_SPEECH_TIME: Self = Self(13328);
    /// `Play loop`.
    pub const PLAY_LOOP: Self = Self(13410);
    /// A file that could not be played.
    pub const PLAY_CONTENT: Self = Self(13420);
    /// `Say loop`.
    pub const SAY_LOOP: Self = Self(13510);
    /// `Say` without words.
    pub const SAY_TEXT: Self = Self(13520);
    /// `Record timeout`.
    pub const RECORD_TIMEOUT: Self = Self(13611);
    /// `Record maxLength`.
    pub const RECORD_MAX_LENGTH: Self = Self(13612);
    /// `Record finishOnKey`.
    pub const RECORD_FINISH_ON_KEY: Self = Self(13613);
    /// `Pause length`.
    pub const PAUSE_LENGTH: Self = Self(13910);
    /// The name of a queue.
    pub const QUEUE_NAME: Self = Self(14205);
    /// A noun that may not stand in `Start` or `Stop`.
    pub const START_NOUN: Self = Self(14300);
    /// A stream whose address or name is of no use.
    pub const STREAM: Self = Self(31901);
    /// `ConversationRelay` without an address, or with an attribute that is of no use.
    pub const RELAY_PARAMETER: Self = Self(64101);
    /// The WebSocket of a relay could not be opened.
    pub const RELAY_CONNECTION: Self = Self(64102);
    /// The WebSocket of a relay was closed, or broke, before the application said that it is done.
    pub const RELAY_CLOSED: Self = Self(64105);
    /// What came over the WebSocket of a relay are no messages of it.
    pub const RELAY_MESSAGE: Self = Self(64107);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something an application did wrong and that the call went on without.
///
/// It names elements, attributes and what would be allowed, never a value: values may be a caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The vendor's number for it.
    pub code: Code,
    /// The element, as written.
    pub element: String,
    /// The line of the document, from 1; 0 where no document is meant.
    pub line: u32,
    /// What is wrong, and what is done instead.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, element, line, text } = self;
        write!(f, "{code}: <{element}> in line {line}: {text}")
    }
}
