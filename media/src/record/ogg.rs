//! Ogg pages: packets laced into pages with their checksum, and pages found again in a damaged file.
//!
//! Pure: bytes in, bytes out. One logical stream per file, and no packet ever spans two pages, so that every
//! whole page can be played without its neighbours. [`PageWriter`] belongs to a recording's thread;
//! [`Page::parse`] reads what a crash left, which may be anything.
//!
//! Source: RFC 3533 sections 6 and appendix (checksum).

/// Bytes of a page before its lacing values.
const HEADER_BYTES: usize = 27;

/// The longest page: 255 lacing values of 255 bytes.
pub(super) const PAGE_BYTES_MAX: usize = HEADER_BYTES + 255 + 255 * 255;

const CAPTURE: &[u8; 4] = b"OggS";
const FIRST: u8 = 2;
const LAST: u8 = 4;
const FLAGS_AT: usize = 5;
const CHECKSUM_AT: usize = 22;

/// Where in its stream a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first page, which readers know a stream by.
    First,
    /// Any other.
    Middle,
    /// The last page: nothing follows.
    Last,
}

/// Laces packets into pages.
#[derive(Debug)]
pub(super) struct PageWriter {
    serial: u32,
    sequence: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
    granule: u64,
    packets: usize,
}

impl PageWriter {
    /// Pages of the stream `serial`.
    pub(super) fn new(serial: u32) -> Self {
        Self { serial, sequence: 0, lacing: Vec::with_capacity(255), body: Vec::new(), granule: 0, packets: 0 }
    }

    /// Adds a packet to the page, after which the stream stands at `granule`.
    ///
    /// # Panics
    /// When the packet does not fit: the caller hands pages out before that.
    pub(super) fn push(&mut self, packet: &[u8], granule: u64) {
        let whole = packet.len() / 255;
        assert!(self.lacing.len() + whole < 255, "pages are handed out before they are full");
        self.lacing.resize(self.lacing.len() + whole, 255);
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        self.granule = granule;
        self.packets += 1;
    }

    /// Says that the page ends at `granule`, before the end of its last packet.
    pub(super) fn end_at(&mut self, granule: u64) {
        self.granule = granule;
    }

    /// Packets that wait in the page.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// Appends the page to `out`, also when it is empty, and begins the next.
    pub(super) fn page(&mut self, place: Place, out: &mut Vec<u8>) {
        let start = out.len();
        let flags = match place {
            Place::First => FIRST,
            Place::Middle => 0,
            Place::Last => LAST,
        };
        out.extend_from_slice(CAPTURE);
        out.extend_from_slice(&[0, flags]);
        out.extend_from_slice(&self.granule.to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(self.lacing.len() as u8);
        out.extend_from_slice(&self.lacing);
        out.extend_from_slice(&self.body);
        sign(&mut out[start..]);
        self.sequence = self.sequence.wrapping_add(1);
        self.lacing.clear();
        self.body.clear();
        self.packets = 0;
    }
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// A whole page whose checksum is right.
    Whole {
        /// Its length.
        bytes: usize,
        /// Where the stream stands after it.
        granule: u64,
        /// Whether it says that nothing follows.
        is_last: bool,
    },
    /// What may become a page if more bytes follow.
    Cut,
    /// Something else.
    Noise,
}

impl Page {
    /// Looks at the beginning of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        if !bytes.starts_with(CAPTURE) {
            return if CAPTURE.starts_with(bytes) { Self::Cut } else { Self::Noise };
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Self::Cut };
        if header[4] != 0 {
            return Self::Noise;
        }
        let segments = usize::from(header[HEADER_BYTES - 1]);
        let Some(lacing) = bytes.get(HEADER_BYTES..HEADER_BYTES + segments) else { return Self::Cut };
        let length = HEADER_BYTES + segments + lacing.iter().map(|&bytes| usize::from(bytes)).sum::<usize>();
        let Some(page) = bytes.get(..length) else { return Self::Cut };
        if checksum(page).to_le_bytes() != page[CHECKSUM_AT..CHECKSUM_AT + 4] {
            return Self::Noise;
        }
        let granule = header[6..14].try_into().map_or(0, u64::from_le_bytes);
        Self::Whole { bytes: length, granule, is_last: header[FLAGS_AT] & LAST != 0 }
    }
}

/// Makes a whole page the last of its stream.
///
/// # Panics
/// When `page` is shorter than the header of a page.
pub(super) fn end_with(page: &mut [u8]) {
    page[FLAGS_AT] |= LAST;
    sign(page);
}

fn sign(page: &mut [u8]) {
    let sum = checksum(page);
    page[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The page's checksum, computed as if its own four bytes were zero.
fn checksum(page: &[u8]) -> u32 {
    let sum = crc(0, &page[..CHECKSUM_AT]);
    crc(crc(sum, &[0; 4]), &page[CHECKSUM_AT + 4..])
}

/// The remainder by the polynomial 0x04c11db7: the high bit first, nothing inverted.
fn crc(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| (sum << 8) ^ CRC_TABLE[((sum >> 24) as u8 ^ byte) as usize])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut remainder = (n as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            remainder = (remainder << 1) ^ if remainder >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[n] = remainder;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        // CRC-32 with this polynomial, nothing reflected and nothing inverted, of the usual check string.
        assert_eq!(crc(0, b"123456789"), 0x89a1_897f);
    }

    #[test]
    fn a_packet_of_255_bytes_ends_with_an_empty_segment() {
        let mut writer = PageWriter::new(1);
        writer.push(&[7; 255], 960);
        let mut out = Vec::new();
        writer.page(Place::First, &mut out);
        assert_eq!(out[26..29], [2, 255, 0]);
        assert_eq!(Page::parse(&out), Page::Whole { bytes: 27 + 2 + 255, granule: 960, is_last: false });
    }

    #[test]
    fn a_page_becomes_the_last_and_stays_whole() {
        let mut writer = PageWriter::new(1);
        writer.push(b"abc", 5);
        let mut out = Vec::new();
        writer.page(Place::Middle, &mut out);
        end_with(&mut out);
        assert_eq!(Page::parse(&out), Page::Whole { bytes: out.len(), granule: 5, is_last: true });
    }

    proptest! {
        #[test]
        fn pages_are_whole_only_when_no_byte_is_missing_or_changed(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..40),
            changed in any::<prop::sample::Index>(),
        ) {
            let mut writer = PageWriter::new(9);
            for (n, packet) in packets.iter().enumerate() {
                writer.push(packet, n as u64);
            }
            let mut page = Vec::new();
            writer.page(Place::Last, &mut page);
            let granule = packets.len() as u64 - 1;
            prop_assert_eq!(Page::parse(&page), Page::Whole { bytes: page.len(), granule, is_last: true });
            let cut = changed.index(page.len());
            prop_assert_eq!(Page::parse(&page[..cut]), Page::Cut);
            page[cut] ^= 1;
            let is_still_whole = matches!(Page::parse(&page), Page::Whole { bytes, .. } if bytes == page.len());
            prop_assert!(!is_still_whole);
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Page::parse(&[CAPTURE.as_slice(), &[0], &bytes].concat());
            let _ = Page::parse(&bytes);
        }
    }
}
