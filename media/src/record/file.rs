//! One growing audio file: samples into bytes, bytes to the operating system, now and then to the disk.
//!
//! Runs on the recorder's thread and may block there. After every [`TrackFile::flush`] the file is playable as it
//! stands: whole Ogg pages only, or WAV whose header counts what is there. What cannot be written is cut off
//! again, so that a full disk leaves a good file behind.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{
    opus::OggOpus,
    state::{Container, Encoding},
    wav,
};

/// Bytes that are written at once while a long silence is made.
const SILENCE_BYTES: usize = 1 << 18;

/// Samples of silence between two looks at how many bytes they made: one minute.
const SILENCE_SAMPLES: u64 = 60 * 48_000;

/// A file that grows.
pub(super) struct TrackFile {
    file: File,
    coder: Coder,
    /// Bytes that the file holds for good.
    written: u64,
    /// Bytes that come next.
    pending: Vec<u8>,
    is_unsynced: bool,
}

enum Coder {
    Ogg(Box<OggOpus>),
    Wav { samples: u64, counted: u64 },
}

impl TrackFile {
    /// Makes the file, which must not exist, and writes its header. `serial` tells Ogg streams apart.
    ///
    /// # Errors
    /// When the file cannot be made or written, or the encoder has no memory.
    pub(super) fn create(path: &Path, encoding: Encoding, serial: u32, title: &str) -> io::Result<Self> {
        // Readable too: a repair after a failure looks for the last whole page.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let mut pending = Vec::new();
        let coder = match encoding.container {
            Container::Ogg => {
                let coder = OggOpus::begin(encoding.bitrate_bps, serial, title, &mut pending);
                Coder::Ogg(Box::new(coder.map_err(io::Error::other)?))
            }
            Container::Wav => {
                pending.extend_from_slice(&wav::header(0));
                Coder::Wav { samples: 0, counted: 0 }
            }
        };
        let mut file = Self { file, coder, written: 0, pending, is_unsynced: true };
        file.flush()?;
        Ok(file)
    }

    /// Samples taken so far.
    pub(super) fn samples(&self) -> u64 {
        match &self.coder {
            Coder::Ogg(coder) => coder.samples(),
            Coder::Wav { samples, .. } => *samples,
        }
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.written
    }

    /// How many more samples this file can take.
    pub(super) fn room_samples(&self) -> u64 {
        match &self.coder {
            Coder::Ogg(_) => u64::MAX,
            Coder::Wav { samples, .. } => wav::SAMPLES_MAX - samples,
        }
    }

    /// Takes samples. Nothing is written yet; the caller keeps within [`room_samples`](Self::room_samples).
    pub(super) fn push(&mut self, samples: &[f32]) {
        match &mut self.coder {
            Coder::Ogg(coder) => coder.push(samples, &mut self.pending),
            Coder::Wav { samples: total, .. } => {
                *total += samples.len() as u64;
                wav::push(samples, &mut self.pending);
            }
        }
    }

    /// Takes that many samples of silence, writing where there are many.
    ///
    /// # Errors
    /// When something cannot be written.
    pub(super) fn silence(&mut self, samples: u64) -> io::Result<()> {
        let mut left = samples;
        while left > 0 {
            let now = left.min(SILENCE_SAMPLES);
            match &mut self.coder {
                Coder::Ogg(coder) => coder.silence(now, &mut self.pending),
                Coder::Wav { samples, .. } => {
                    *samples += now;
                    self.pending.resize(self.pending.len() + (now * wav::SAMPLE_BYTES) as usize, 0);
                }
            }
            if self.pending.len() > SILENCE_BYTES {
                self.flush()?;
            }
            left -= now;
        }
        Ok(())
    }

    /// Hands what is complete to the operating system: it outlives the process from here on.
    ///
    /// # Errors
    /// When it cannot be written; the file ends where it was good.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            if let Err(error) = self.file.write_all_at(&self.pending, self.written) {
                // Part of it may have been written. If even cutting fails, a repair finds the last whole page.
                let _ = self.file.set_len(self.written);
                return Err(error);
            }
            self.written += self.pending.len() as u64;
            self.pending.clear();
            self.is_unsynced = true;
        }
        if let Coder::Wav { samples, counted } = &mut self.coder
            && samples != counted
        {
            self.file.write_all_at(&wav::header(*samples), 0)?;
            *counted = *samples;
        }
        Ok(())
    }

    /// Hands what was flushed to the disk: it outlives the machine from here on. May take long.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_unsynced) { self.file.sync_data() } else { Ok(()) }
    }

    /// Ends the file, complete and on disk; how many bytes it has.
    ///
    /// # Errors
    /// When the end cannot be written; [`super::repair`] can then end the file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        match std::mem::replace(&mut self.coder, Coder::Wav { samples: 0, counted: 0 }) {
            Coder::Ogg(coder) => coder.finish(&mut self.pending),
            wav @ Coder::Wav { .. } => self.coder = wav,
        }
        self.flush()?;
        self.file.sync_all()?;
        Ok(self.written)
    }
}

#[cfg(test)]
impl TrackFile {
    /// A WAV file that says it holds that many samples, without their bytes.
    pub(super) fn full_for_test(path: &Path, samples: u64) -> Self {
        let encoding = Encoding { container: Container::Wav, bitrate_bps: 0 };
        let file = Self::create(path, encoding, 0, "").expect("a file in a test's folder");
        let written = wav::HEADER_BYTES + samples * wav::SAMPLE_BYTES;
        Self { coder: Coder::Wav { samples, counted: samples }, written, ..file }
    }
}
