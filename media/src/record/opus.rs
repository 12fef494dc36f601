//! Samples into an Ogg/Opus file: mono at 48 kHz, 20 ms a packet, a page every half second.
//!
//! Pure but for libopus: samples go in, bytes of whole pages come out, nothing is opened or waited for. Silence
//! is cheap: after half a second of it the encoder has settled, and its last packet is repeated without
//! encoding anything, so an hour of silence takes 1 MB and little work.
//!
//! Source: RFC 7845.

use super::ogg::{PageWriter, Place};

/// Samples of a packet: 20 ms.
const FRAME_SAMPLES: usize = 960;

/// Packets of a page: 500 ms, the most that is lost when the process is killed. A page costs 27 bytes.
const PAGE_PACKETS: usize = 25;

/// Packets of real silence before the encoder has settled: 500 ms.
const SETTLING_PACKETS: u32 = 25;

/// The longest packet of one frame that the codec makes.
const PACKET_BYTES_MAX: usize = 1_275;

/// How hard the encoder tries, of 10. At 32 kb/s nobody hears the difference to 10, and it costs half.
const COMPLEXITY: i32 = 5;

/// Makes one Ogg/Opus file.
pub struct OggOpus {
    encoder: ::opus::Encoder,
    pages: PageWriter,
    /// Samples by which the encoder is late; players drop as many from the start.
    pre_skip: u16,
    frame: [f32; FRAME_SAMPLES],
    filled: usize,
    packets: u64,
    silent_packets: u32,
    packet: Vec<u8>,
}

impl OggOpus {
    /// Begins a file: its two headers are appended to `out`.
    ///
    /// `title` is what players show.
    ///
    /// # Errors
    /// Only when libopus has no memory.
    pub fn begin(bitrate_bps: u32, serial: u32, title: &str, out: &mut Vec<u8>) -> Result<Self, ::opus::Error> {
        let mut encoder = ::opus::Encoder::new(48_000, ::opus::Channels::Mono, ::opus::Application::Audio)?;
        encoder.set_bitrate(::opus::Bitrate::Bits(i32::try_from(bitrate_bps).unwrap_or(i32::MAX)))?;
        encoder.set_complexity(COMPLEXITY)?;
        let pre_skip = u16::try_from(encoder.get_lookahead()?).unwrap_or(0);
        let mut pages = PageWriter::new(serial);
        pages.push(&head(pre_skip), 0);
        pages.page(Place::First, out);
        pages.push(&tags(title), 0);
        pages.page(Place::Middle, out);
        Ok(Self {
            encoder,
            pages,
            pre_skip,
            frame: [0.0; FRAME_SAMPLES],
            filled: 0,
            packets: 0,
            silent_packets: 0,
            packet: Vec::with_capacity(PACKET_BYTES_MAX),
        })
    }

    /// Samples taken so far.
    pub(super) fn samples(&self) -> u64 {
        self.packets * FRAME_SAMPLES as u64 + self.filled as u64
    }

    /// Takes samples and appends the pages that they complete to `out`.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<u8>) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(FRAME_SAMPLES - self.filled));
            self.frame[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            samples = later;
            if self.filled == FRAME_SAMPLES {
                self.encode();
                self.page_if_due(out);
            }
        }
    }

    /// Takes that many samples of silence, as [`push`](Self::push) does.
    pub(super) fn silence(&mut self, samples: u64, out: &mut Vec<u8>) {
        let mut left = samples;
        while left > 0 {
            let now = left.min((FRAME_SAMPLES - self.filled) as u64);
            self.push(&[0.0; FRAME_SAMPLES][..now as usize], out);
            left -= now;
        }
    }

    /// Ends the file: the rest and the last page are appended to `out`, which says the exact length.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let end = self.samples() + u64::from(self.pre_skip);
        // What the encoder is late by is still inside it: at least one more packet brings it out.
        while self.packets * (FRAME_SAMPLES as u64) < end {
            self.page_if_due(out);
            self.frame[self.filled..].fill(0.0);
            self.encode();
        }
        self.pages.end_at(end);
        self.pages.page(Place::Last, out);
    }

    /// Encodes the frame, whole or not, into the page.
    fn encode(&mut self) {
        let is_silent = self.frame.iter().all(|&sample| sample == 0.0);
        self.silent_packets = if is_silent { self.silent_packets.saturating_add(1) } else { 0 };
        if self.silent_packets <= SETTLING_PACKETS {
            self.packet.resize(PACKET_BYTES_MAX, 0);
            // The frame and the room for the packet have the only sizes that the codec can refuse.
            let bytes = self.encoder.encode_float(&self.frame, &mut self.packet).unwrap_or(0);
            self.packet.truncate(bytes);
        }
        self.packets += 1;
        self.filled = 0;
        self.pages.push(&self.packet, self.packets * FRAME_SAMPLES as u64);
    }

    fn page_if_due(&mut self, out: &mut Vec<u8>) {
        if self.pages.packets() >= PAGE_PACKETS {
            self.pages.page(Place::Middle, out);
        }
    }
}

/// How many samples a player hears of a file that ends at `granule`.
pub(super) fn audible_samples(granule: u64, pre_skip: u16) -> u64 {
    granule.saturating_sub(u64::from(pre_skip))
}

/// The identification header: mono, family 0, no gain.
fn head(pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&pre_skip.to_le_bytes());
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    head
}

/// The comment header.
fn tags(title: &str) -> Vec<u8> {
    let title: String = title.chars().take(TITLE_MAX_CHARS).collect();
    let comments = [format!("TITLE={title}"), "ENCODER=harmony".to_owned()];
    let mut tags = b"OpusTags".to_vec();
    let text = |text: &str, tags: &mut Vec<u8>| {
        tags.extend_from_slice(&(text.len() as u32).to_le_bytes());
        tags.extend_from_slice(text.as_bytes());
    };
    text(::opus::version(), &mut tags);
    tags.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    for comment in &comments {
        text(comment, &mut tags);
    }
    tags
}

/// Longer titles are cut, so that the comment header fits a page.
const TITLE_MAX_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::{decode::file::Decoder, dsp::level::rms_dbfs, record::ogg::Page};

    fn tone(samples: usize, hz: f32) -> Vec<f32> {
        (0..samples).map(|n| 0.5 * (n as f32 * hz * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    fn file(pieces: &[&[f32]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut file = OggOpus::begin(32_000, 7, "a title", &mut out).unwrap();
        for piece in pieces {
            file.push(piece, &mut out);
        }
        file.finish(&mut out);
        out
    }

    fn decoded(bytes: &[u8]) -> Vec<f32> {
        let mut samples = Vec::new();
        for block in Decoder::open(Cursor::new(bytes.to_vec())).unwrap() {
            samples.extend_from_slice(&block.unwrap().channels[0]);
        }
        samples
    }

    #[test]
    fn a_tone_comes_back_at_its_time_with_its_level() {
        let sound = [vec![0.0; 24_000], tone(48_000, 440.0), vec![0.0; 24_000]].concat();
        let heard = decoded(&file(&[&sound]));
        let level = rms_dbfs(&heard[26_000..70_000]);
        assert!((level + 9.03).abs() < 0.5, "{level} dBFS");
        assert!(rms_dbfs(&heard[..23_000]) < -60.0 && rms_dbfs(&heard[74_000..]) < -60.0);
    }

    #[test]
    fn a_tone_after_a_long_repeated_silence_is_as_good_as_the_one_before() {
        let sound = tone(48_000, 440.0);
        let mut out = Vec::new();
        let mut file = OggOpus::begin(32_000, 7, "", &mut out).unwrap();
        file.push(&sound, &mut out);
        file.silence(20 * 48_000, &mut out);
        file.push(&sound, &mut out);
        file.finish(&mut out);
        let heard = decoded(&out);
        assert!(heard.len().abs_diff(22 * 48_000) <= 960, "{}", heard.len());
        assert!(rms_dbfs(&heard[50_000..20 * 48_000]) < -70.0);
        let later = &heard[21 * 48_000 + 2_400..][..40_000];
        assert!((rms_dbfs(later) + 9.03).abs() < 0.5, "{}", rms_dbfs(later));
        // Each sample against the sine that was put in: the error is small beside it.
        let phase = &sound[2_400..][..40_000];
        let error: Vec<f32> = later.iter().zip(phase).map(|(a, b)| a - b).collect();
        assert!(rms_dbfs(&error) < rms_dbfs(later) - 12.0, "{}", rms_dbfs(&error));
    }

    #[test]
    fn an_hour_of_silence_is_a_megabyte() {
        let mut out = Vec::new();
        let mut file = OggOpus::begin(32_000, 7, "", &mut out).unwrap();
        file.silence(3_600 * 48_000, &mut out);
        file.finish(&mut out);
        assert!(out.len() < 1_500_000, "{}", out.len());
    }

    #[test]
    fn no_page_holds_more_than_half_a_second() {
        let bytes = file(&[&tone(10 * 48_000, 300.0)]);
        let (mut at, mut before) = (0, 0);
        while let Page::Whole { bytes: length, granule, .. } = Page::parse(&bytes[at..]) {
            assert!(granule - before <= 24_000);
            (at, before) = (at + length, granule);
        }
        assert_eq!(at, bytes.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_last_page_says_the_exact_length(lengths in prop::collection::vec(0_usize..5_000, 0..12)) {
            let pieces: Vec<Vec<f32>> = lengths.iter().map(|&length| tone(length, 500.0)).collect();
            let bytes = file(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (mut at, mut end) = (0, None);
            while let Page::Whole { bytes: length, granule, is_last } = Page::parse(&bytes[at..]) {
                at += length;
                end = Some((granule, is_last));
            }
            let total: usize = lengths.iter().sum();
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(end, Some((total as u64 + 312, true)));
        }

        #[test]
        fn a_file_cut_at_any_byte_decodes_to_all_its_whole_pages(cut in any::<prop::sample::Index>()) {
            let whole = file(&[&tone(3 * 48_000, 440.0)]);
            let bytes = &whole[..cut.index(whole.len())];
            let (mut at, mut end) = (0, 0);
            while let Page::Whole { bytes: length, granule, .. } = Page::parse(&bytes[at..]) {
                (at, end) = (at + length, granule);
            }
            let Ok(decoder) = Decoder::open(Cursor::new(bytes.to_vec())) else {
                // Even the headers are cut.
                prop_assert_eq!(end, 0);
                return Ok(());
            };
            let heard: usize = decoder.map_while(Result::ok).map(|block| block.samples()).sum();
            prop_assert!(heard as u64 >= audible_samples(end, 312), "{} of {}", heard, end);
        }
    }
}
