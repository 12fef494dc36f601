//! The sound of a recording as one WAV of 16 bits, made from its files while it is sent.
//!
//! A blocking thread decodes the files of each channel side by side, converts them to [`RATE_HZ`] and interleaves them;
//! it is a few pieces ahead of whoever reads and waits then, so memory does not grow with the recording, and it ends
//! when nobody reads any more. How many bytes come is known before the first: what a file turns out to lack is
//! silence, what it has too much is left out. A file that cannot be decoded on is silence from there, and told in the log.

use std::{fs::File, io, path::PathBuf};

use bytes::{BufMut as _, Bytes, BytesMut};
use media::{
    decode::file::Decoder,
    dsp::resample::Resampler,
    time::{MediaTime, Span},
};
use tokio::sync::mpsc;

/// Samples per second and channel: all that a telephone brings, wideband or not, in a third of what it is kept in.
pub(crate) const RATE_HZ: u32 = 16_000;

/// Samples of a piece: 200 ms.
const PIECE_SAMPLES: usize = RATE_HZ as usize / 5;

/// Pieces that are made ahead: a second and a half. When they are not taken, the thread waits.
const PIECES_AHEAD: usize = 8;

/// What is to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The files of each channel, each with its first sample on the recording's timeline.
    pub(crate) lanes: Vec<Vec<(PathBuf, MediaTime)>>,
    /// What of it.
    pub(crate) span: Span,
    /// Whether all channels become one.
    pub(crate) is_mixed_down: bool,
}

/// A WAV that comes piece by piece.
#[derive(Debug)]
pub(crate) struct Wav {
    /// How many bytes come in all.
    pub(crate) bytes: u64,
    /// The bytes.
    pub(crate) pieces: mpsc::Receiver<Bytes>,
}

impl Wav {
    /// Opens the files and begins. Blocks on the disk; call it in a tokio runtime.
    ///
    /// # Errors
    /// When a file is not there, or there is none.
    pub(crate) fn open(plan: Plan) -> io::Result<Self> {
        let is_mixed_down = plan.is_mixed_down;
        if plan.lanes.iter().all(Vec::is_empty) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let from = plan.span.start.samples(RATE_HZ);
        let lanes = plan.lanes.into_iter().map(|files| Lane::open(files, from)).collect::<io::Result<Vec<_>>>()?;
        let channels = if is_mixed_down { 1 } else { lanes.len() };
        let block_bytes = 2 * channels as u64;
        // A RIFF has 32 bits for its size: what does not fit is left out, after 18 hours of two channels.
        let samples = (plan.span.end.samples(RATE_HZ) - from).min((u64::from(u32::MAX) - 36) / block_bytes);
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let header = header(channels as u16, (samples * block_bytes) as u32);
        let bytes = header.len() as u64 + samples * block_bytes;
        tokio::task::spawn_blocking(move || {
            if sender.blocking_send(header).is_ok() {
                write(lanes, is_mixed_down, samples, &sender);
            }
        });
        Ok(Self { bytes, pieces })
    }
}

/// Blocking: until all is sent or nobody reads.
fn write(mut lanes: Vec<Lane>, is_mixed_down: bool, mut samples: u64, sender: &mpsc::Sender<Bytes>) {
    while samples > 0 {
        let now = samples.min(PIECE_SAMPLES as u64) as usize;
        samples -= now as u64;
        let heard: Vec<Vec<f32>> = lanes.iter_mut().map(|lane| lane.take(now)).collect();
        let mut piece = BytesMut::with_capacity(2 * now * heard.len());
        for n in 0..now {
            if is_mixed_down {
                piece.put_i16_le(to_i16(heard.iter().map(|lane| lane[n]).sum()));
            } else {
                heard.iter().for_each(|lane| piece.put_i16_le(to_i16(lane[n])));
            }
        }
        if sender.blocking_send(piece.freeze()).is_err() {
            return;
        }
    }
}

/// One channel.
struct Lane {
    /// Those that are still to come, the first last.
    files: Vec<(File, PathBuf, u64)>,
    /// The one that is read.
    reading: Option<Reading>,
    /// Samples that were taken or left out.
    at: u64,
    /// Decoded and not yet taken.
    ready: Vec<f32>,
}

struct Reading {
    decoder: Decoder,
    resampler: Option<(u32, Resampler)>,
    path: PathBuf,
}

impl Lane {
    /// Leaves out the first `from` samples.
    fn open(files: Vec<(PathBuf, MediaTime)>, from: u64) -> io::Result<Self> {
        let mut opened = files
            .into_iter()
            .map(|(path, at)| Ok((File::open(&path)?, path, at.samples(RATE_HZ))))
            .collect::<io::Result<Vec<_>>>()?;
        opened.sort_by_key(|(_, _, at)| std::cmp::Reverse(*at));
        let mut lane = Self { files: opened, reading: None, at: 0, ready: Vec::new() };
        let mut left = from;
        while left > 0 {
            let now = left.min(PIECE_SAMPLES as u64);
            lane.take(now as usize);
            left -= now;
        }
        Ok(lane)
    }

    /// The next samples, exactly so many.
    fn take(&mut self, samples: usize) -> Vec<f32> {
        while self.ready.len() < samples && self.decode(samples) {}
        self.ready.resize(self.ready.len().max(samples), 0.0);
        self.at += samples as u64;
        self.ready.drain(..samples).collect()
    }

    /// Decodes on; false when there is nothing more.
    fn decode(&mut self, wanted: usize) -> bool {
        let Some(reading) = &mut self.reading else { return self.open_next(wanted) };
        if !reading.read(&mut self.ready) {
            self.reading = None;
        }
        true
    }

    /// Opens the next file, after the silence before it; false when there is none.
    fn open_next(&mut self, wanted: usize) -> bool {
        let Some((_, _, at)) = self.files.last() else { return false };
        let missing = at.saturating_sub(self.at + self.ready.len() as u64);
        if missing > 0 {
            // Not all at once: a file may begin hours later.
            let now = missing.min(wanted.max(PIECE_SAMPLES) as u64) as usize;
            self.ready.resize(self.ready.len() + now, 0.0);
            return true;
        }
        if let Some((file, path, _)) = self.files.pop() {
            match Decoder::open(file) {
                Ok(decoder) => self.reading = Some(Reading { decoder, resampler: None, path }),
                Err(error) => tracing::warn!(file = %path.display(), %error, "a recording's file is silence"),
            }
        }
        true
    }
}

impl Reading {
    /// Appends what comes next; false at the end.
    fn read(&mut self, ready: &mut Vec<f32>) -> bool {
        let block = match self.decoder.next_block() {
            Ok(Some(block)) => block,
            Ok(None) => {
                if let Some((_, resampler)) = &mut self.resampler {
                    resampler.flush(ready);
                }
                return false;
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "a recording's file is silence from here");
                return false;
            }
        };
        let resampler = match &mut self.resampler {
            Some((rate_hz, resampler)) if *rate_hz == block.rate_hz => resampler,
            other => match Resampler::new(block.rate_hz, RATE_HZ) {
                Ok(resampler) => &mut other.insert((block.rate_hz, resampler)).1,
                Err(_) => return false,
            },
        };
        // Our files are mono.
        let Some(samples) = block.channels.first() else { return true };
        resampler.process(samples, ready);
        true
    }
}

fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16
}

fn header(channels: u16, data_bytes: u32) -> Bytes {
    let block_bytes = 2 * channels;
    let mut header = BytesMut::with_capacity(44);
    header.put_slice(b"RIFF");
    header.put_u32_le(36 + data_bytes);
    header.put_slice(b"WAVEfmt ");
    header.put_u32_le(16);
    header.put_u16_le(1);
    header.put_u16_le(channels);
    header.put_u32_le(RATE_HZ);
    header.put_u32_le(RATE_HZ * u32::from(block_bytes));
    header.put_u16_le(block_bytes);
    header.put_u16_le(16);
    header.put_slice(b"data");
    header.put_u32_le(data_bytes);
    header.freeze()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A mono WAV at 48 kHz of constant samples.
    fn file(folder: &Path, name: &str, level: f32, millis: u64) -> PathBuf {
        let samples = MediaTime::from_millis(millis).ticks() as u32;
        let mut bytes = BytesMut::from(&header(1, 2 * samples)[..]);
        bytes[24..28].copy_from_slice(&48_000_u32.to_le_bytes());
        bytes[28..32].copy_from_slice(&96_000_u32.to_le_bytes());
        (0..samples).for_each(|_| bytes.put_i16_le(to_i16(level)));
        let path = folder.join(name);
        std::fs::write(&path, &bytes).unwrap();
        path
    }

    /// All of it: channels, and samples of each.
    async fn made(plan: Plan) -> Vec<Vec<f32>> {
        let mut wav = tokio::task::spawn_blocking(|| Wav::open(plan)).await.unwrap().unwrap();
        let mut all = Vec::new();
        while let Some(piece) = wav.pieces.recv().await {
            all.extend_from_slice(&piece);
        }
        assert_eq!(all.len() as u64, wav.bytes);
        let mut decoder = Decoder::open(io::Cursor::new(all)).unwrap();
        let mut channels = Vec::new();
        while let Some(block) = decoder.next_block().unwrap() {
            assert_eq!(block.rate_hz, RATE_HZ);
            channels.resize(block.channels.len(), Vec::new());
            channels.iter_mut().zip(block.channels).for_each(|(all, more)| all.extend(more));
        }
        channels
    }

    fn span(from_ms: u64, to_ms: u64) -> Span {
        Span::new(MediaTime::from_millis(from_ms), MediaTime::from_millis(to_ms))
    }

    fn assert_level(samples: &[f32], from_ms: usize, to_ms: usize, expected: f32) {
        let (from, to) = (from_ms * 16, to_ms * 16);
        for (n, sample) in samples[from..to].iter().enumerate() {
            assert!((sample - expected).abs() < 2e-3, "{} ms: {sample} is not {expected}", from_ms + n / 16);
        }
    }

    #[tokio::test]
    async fn two_channels_lie_side_by_side_and_a_short_one_ends_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let left = vec![(file(folder.path(), "a.wav", 0.25, 1_000), MediaTime::ZERO)];
        let right = vec![(file(folder.path(), "b.wav", -0.5, 600), MediaTime::ZERO)];
        let lanes = vec![left, right];
        let plan = |is_mixed_down| Plan { lanes: lanes.clone(), span: span(0, 1_000), is_mixed_down };
        let channels = made(plan(false)).await;
        assert_eq!(channels.iter().map(Vec::len).collect::<Vec<_>>(), [16_000, 16_000]);
        assert_level(&channels[0], 20, 980, 0.25);
        assert_level(&channels[1], 20, 580, -0.5);
        assert_level(&channels[1], 620, 1_000, 0.0);
        let mixed = made(plan(true)).await;
        assert_eq!(mixed.len(), 1);
        assert_level(&mixed[0], 20, 580, -0.25);
        assert_level(&mixed[0], 620, 980, 0.25);
    }

    #[tokio::test]
    async fn files_that_follow_each_other_lie_where_they_begin_and_only_what_is_kept_comes() {
        let folder = tempfile::tempdir().unwrap();
        let first = (file(folder.path(), "a.wav", 0.25, 500), MediaTime::ZERO);
        let second = (file(folder.path(), "b.wav", 0.5, 500), MediaTime::from_millis(1_500));
        // In any order: the times decide.
        let plan = Plan { lanes: vec![vec![second, first]], span: span(250, 1_900), is_mixed_down: false };
        let channels = made(plan).await;
        assert_eq!(channels[0].len(), 1_650 * 16);
        assert_level(&channels[0], 0, 230, 0.25);
        assert_level(&channels[0], 270, 1_230, 0.0);
        assert_level(&channels[0], 1_270, 1_650, 0.5);
    }

    #[tokio::test]
    async fn a_broken_file_is_silence_and_a_missing_one_is_no_recording() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        std::fs::write(&path, b"no sound at all").unwrap();
        let plan = |path| Plan { lanes: vec![vec![(path, MediaTime::ZERO)]], span: span(0, 300), is_mixed_down: false };
        let channels = made(plan(path)).await;
        assert_eq!(channels[0], vec![0.0; 4_800]);
        assert!(Wav::open(plan(folder.path().join("b.wav"))).is_err());
        assert!(Wav::open(Plan { lanes: vec![Vec::new()], span: span(0, 300), is_mixed_down: false }).is_err());
    }
}
