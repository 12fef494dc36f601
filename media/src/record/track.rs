//! One track of a recording: sounds with times become files without holes.
//!
//! The room's timeline decides what lies where. Whatever did not come is silence of the same length, whatever
//! comes twice is left out, so every file of a recording runs with the room's clock and all of them line up.
//! Runs on the recorder's thread; told every time, reads no clock.

use std::{io, path::PathBuf};

use super::{
    file::TrackFile,
    pauses::Pauses,
    repair::repair,
    state::{self, Encoding},
};
use crate::time::MediaTime;

/// What a track is made with.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// The recording's folder.
    pub(super) folder: PathBuf,
    /// What its files are called, without extension.
    pub(super) stem: String,
    /// How it is written.
    pub(super) encoding: Encoding,
    /// What players show.
    pub(super) title: String,
    /// Whose it is; none for the mix.
    pub(super) participant: Option<String>,
    /// What they are called.
    pub(super) name: String,
    /// The recording's first sample.
    pub(super) start: MediaTime,
    /// The time from which sound is expected; silence lies before it.
    pub(super) joined: MediaTime,
}

/// A track that grows.
pub(super) struct Track {
    spec: Spec,
    file: TrackFile,
    /// The files before the current one: WAV is cut when its size runs out of bits.
    parts: Vec<state::Track>,
    /// The current file's first sample.
    part_start: MediaTime,
    /// The time of the next sample.
    end: MediaTime,
}

impl Track {
    /// Makes the first file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create(spec: Spec) -> io::Result<Self> {
        let file = open(&spec, 0)?;
        Ok(Self { file, parts: Vec::new(), part_start: spec.start, end: spec.start, spec })
    }

    /// The time up to which the track is written.
    pub(super) fn end(&self) -> MediaTime {
        self.end
    }

    /// Takes the sound that began `at`, silent where the recording was paused and cut at `until`. What was
    /// missing before it becomes silence.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn hear(
        &mut self,
        at: MediaTime,
        samples: &[f32],
        pauses: &Pauses,
        until: Option<MediaTime>,
    ) -> io::Result<()> {
        let until = until.map_or(u64::MAX, MediaTime::ticks);
        let missing = at.ticks().min(until).saturating_sub(self.end.ticks());
        self.silence(missing)?;
        let from = self.end.ticks().saturating_sub(at.ticks()).min(samples.len() as u64) as usize;
        let to = until.saturating_sub(at.ticks()).min(samples.len() as u64) as usize;
        let samples = samples.get(from..to).unwrap_or_default();
        if pauses.touch(self.end, samples.len()) {
            let silenced = pauses.silence(self.end, samples);
            self.push(&silenced)
        } else {
            self.push(samples)
        }
    }

    /// Fills with silence up to `time`, unless the track is there already.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn silence_until(&mut self, time: MediaTime) -> io::Result<()> {
        self.silence(time.ticks().saturating_sub(self.end.ticks()))
    }

    /// Hands what is complete to the operating system.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Hands what was flushed to the disk. May take long.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// Every file of the track, as it stands.
    pub(super) fn files(&self) -> Vec<state::Track> {
        let mut files = self.parts.clone();
        files.push(self.entry());
        files
    }

    /// Ends the last file; every file of the track.
    ///
    /// When the end cannot be written, the file is repaired like after a crash, and the error comes with the
    /// files that are playable nevertheless.
    pub(super) fn finish(self) -> (Vec<state::Track>, io::Result<()>) {
        let (mut files, path) = (self.files(), self.path());
        match self.file.finish() {
            Ok(bytes) => {
                if let Some(last) = files.last_mut() {
                    last.bytes = bytes;
                }
                (files, Ok(()))
            }
            Err(error) => {
                repair_last(&mut files, &path, self.spec.encoding.container);
                (files, Err(error))
            }
        }
    }

    /// Gives the last file up where it stands, playable; every file of the track.
    pub(super) fn abandon(self) -> Vec<state::Track> {
        let (mut files, path) = (self.files(), self.path());
        drop(self.file);
        repair_last(&mut files, &path, self.spec.encoding.container);
        files
    }

    fn push(&mut self, mut samples: &[f32]) -> io::Result<()> {
        while !samples.is_empty() {
            let room = self.room()?.min(samples.len() as u64) as usize;
            self.file.push(&samples[..room]);
            self.end = MediaTime::from_ticks(self.end.ticks() + room as u64);
            samples = &samples[room..];
        }
        Ok(())
    }

    fn silence(&mut self, mut samples: u64) -> io::Result<()> {
        while samples > 0 {
            let room = self.room()?.min(samples);
            self.file.silence(room)?;
            self.end = MediaTime::from_ticks(self.end.ticks() + room);
            samples -= room;
        }
        Ok(())
    }

    /// How many samples the current file takes, which is the next one when it is full.
    fn room(&mut self) -> io::Result<u64> {
        if self.file.room_samples() == 0 {
            let mut entry = self.entry();
            let next = open(&self.spec, self.parts.len() + 1)?;
            entry.bytes = std::mem::replace(&mut self.file, next).finish()?;
            self.parts.push(entry);
            self.part_start = self.end;
        }
        Ok(self.file.room_samples())
    }

    fn entry(&self) -> state::Track {
        state::Track {
            participant: self.spec.participant.clone(),
            name: self.spec.name.clone(),
            file: file_name(&self.spec, self.parts.len()),
            start_s: self.part_start.as_secs_f64(),
            joined_s: self.spec.joined.max(self.spec.start).as_secs_f64(),
            duration_s: MediaTime::from_ticks(self.file.samples()).as_secs_f64(),
            bytes: self.file.bytes(),
        }
    }

    fn path(&self) -> PathBuf {
        self.spec.folder.join(file_name(&self.spec, self.parts.len()))
    }
}

fn repair_last(files: &mut [state::Track], path: &std::path::Path, container: state::Container) {
    let repaired = repair(path, container);
    if let (Some(last), Ok(repaired)) = (files.last_mut(), repaired) {
        last.measure(repaired);
    }
}

/// `p1.wav`, then `p1-2.wav`.
fn file_name(spec: &Spec, parts_before: usize) -> String {
    let extension = spec.encoding.container.extension();
    match parts_before {
        0 => format!("{}.{extension}", spec.stem),
        parts => format!("{}-{}.{extension}", spec.stem, parts + 1),
    }
}

fn open(spec: &Spec, parts_before: usize) -> io::Result<TrackFile> {
    let name = file_name(spec, parts_before);
    // Different for each file of a recording, so that tools can join them: a hash of where the file lies.
    let place = spec.folder.join(&name);
    let serial = place
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    TrackFile::create(&place, spec.encoding, serial, &spec.title)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        decode::file::Decoder,
        record::{state::Container, wav},
    };

    fn track(folder: &std::path::Path, container: Container) -> Track {
        Track::create(Spec {
            folder: folder.to_owned(),
            stem: "p1".to_owned(),
            encoding: Encoding { container, bitrate_bps: 32_000 },
            title: String::new(),
            participant: Some("p1".to_owned()),
            name: "Ada".to_owned(),
            start: MediaTime::from_millis(1_000),
            joined: MediaTime::from_millis(3_000),
        })
        .unwrap()
    }

    fn decoded(path: &std::path::Path) -> Vec<f32> {
        let decoder = Decoder::open(File::open(path).unwrap()).unwrap();
        decoder.flat_map(|block| block.unwrap().channels.remove(0)).collect()
    }

    #[test]
    fn who_joins_later_has_silence_before_and_every_sample_is_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut track = track(folder.path(), Container::Wav);
        track.hear(MediaTime::from_millis(3_000), &[0.5; 960], &Pauses::default(), None).unwrap();
        let (files, ended) = track.finish();
        ended.unwrap();
        assert_eq!((files[0].start_s, files[0].joined_s, files[0].duration_s), (1.0, 3.0, 2.02));
        let samples = decoded(&folder.path().join("p1.wav"));
        assert_eq!(samples.len(), 96_960);
        assert!(
            samples[..96_000].iter().all(|&s| s == 0.0) && samples[96_000..].iter().all(|s| (s - 0.5).abs() < 1e-4)
        );
    }

    #[test]
    fn a_wav_file_that_is_full_goes_on_in_a_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut track = track(folder.path(), Container::Wav);
        // Half a day of silence is written as zeros; the file system keeps few of them apart.
        track.file = TrackFile::full_for_test(&folder.path().join("full.wav"), wav::SAMPLES_MAX - 1_000);
        track.end = MediaTime::from_ticks(48_000 + wav::SAMPLES_MAX - 1_000);
        track.hear(track.end, &[0.25; 2_400], &Pauses::default(), None).unwrap();
        let (files, ended) = track.finish();
        ended.unwrap();
        assert_eq!(files.iter().map(|file| file.file.as_str()).collect::<Vec<_>>(), ["p1.wav", "p1-2.wav"]);
        let seam_s = 1.0 + wav::SAMPLES_MAX as f64 / 48_000.0;
        assert!((files[1].start_s - seam_s).abs() < 1e-9);
        assert_eq!(decoded(&folder.path().join("p1-2.wav")).len(), 1_400);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn holes_repeats_and_pauses_never_move_what_comes_after(
            steps in prop::collection::vec((0_u64..4_000, 1_usize..2_000), 1..30),
            pause in (0_u64..40_000, 0_u64..40_000),
            until in prop::option::of(48_000_u64..120_000),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut track = track(folder.path(), Container::Wav);
            let mut pauses = Pauses::default();
            let paused = 48_000 + pause.0..48_000 + pause.0 + pause.1;
            pauses.begin(MediaTime::from_ticks(paused.start));
            pauses.end(MediaTime::from_ticks(paused.end));
            let until = until.map(MediaTime::from_ticks);
            let mut expected = Vec::new();
            let mut at = 48_000_u64;
            for (jump, length) in steps {
                // Half a step back or forward: repeats and holes.
                at = (at + jump).saturating_sub(2_000).max(48_000);
                let sound = vec![0.5; length];
                track.hear(MediaTime::from_ticks(at), &sound, &pauses, until).unwrap();
                // What is missing before a sound is silence from then on, also before one that comes after the end.
                let missing_until = until.map_or(at, |until| until.ticks().min(at)) - 48_000;
                expected.resize(expected.len().max(missing_until as usize), 0.0);
                for n in 0..length as u64 {
                    let index = (at + n - 48_000) as usize;
                    if until.is_some_and(|until| at + n >= until.ticks()) {
                        break;
                    }
                    if index >= expected.len() {
                        expected.resize(index, 0.0);
                        expected.push(if paused.contains(&(at + n)) { 0.0 } else { 0.5_f32 });
                    }
                }
                at += length as u64;
            }
            let end = track.end();
            let (_, ended) = track.finish();
            ended.unwrap();
            let samples = decoded(&folder.path().join("p1.wav"));
            prop_assert_eq!(samples.len() as u64, end.ticks() - 48_000);
            prop_assert!(samples.len() >= expected.len());
            for (n, sample) in samples.iter().enumerate() {
                let expected = expected.get(n).copied().unwrap_or(0.0);
                prop_assert!((sample - expected).abs() < 1e-4, "sample {n}: {sample}, not {expected}");
            }
        }
    }
}
