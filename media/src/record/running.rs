//! One recording that grows: its tracks, its pauses and its end, decided from times that it is told.
//!
//! Belongs to the recorder's thread. It asks its captures for what they hold, lays it on the room's timeline and
//! hands it to the files. What is not there a second after its time is silence. It reads no clock; it writes files.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    pauses::Pauses,
    state::{self, Encoding, Manifest, State},
    track::{Spec, Track},
};
use crate::{
    graph::nodes::{capture::CaptureReader, frames::Heard},
    id::ParticipantId,
    time::{Epoch, MediaTime},
};

/// How long sound may be on its way: captures hold two seconds, and the recorder looks ten times a second.
const LATE: Duration = Duration::from_secs(1);

/// How long the end waits for the last sound.
const LAST_SOUND: Duration = Duration::from_millis(300);

/// How often a file goes to the disk: with what waits in a page, less than two seconds are lost with the machine.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Where the sound of a track comes from.
pub struct Source {
    /// Whose it is; none for the mix of everybody.
    pub participant: Option<ParticipantId>,
    /// What they are called.
    pub name: String,
    /// The time from which they are heard.
    pub joined: MediaTime,
    /// Their sound on the room's timeline. Dropped when the track ends.
    pub reader: CaptureReader,
}

/// One of the tracks that are recorded at once; dropping it lets another take its place.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place, unless `max` are taken.
    pub(super) fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        // Taken before it is looked at: two who ask at once cannot both have the last one.
        let place = Self(taken.clone());
        (taken.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A recording that grows.
pub(super) struct Running {
    pub(super) manifest: Manifest,
    pub(super) epoch: Epoch,
    pub(super) status: watch::Sender<Arc<Manifest>>,
    folder: PathBuf,
    encoding: Encoding,
    start: MediaTime,
    until: Option<MediaTime>,
    pauses: Pauses,
    slots: Vec<Slot>,
    told_at: MediaTime,
}

/// A track, growing or ended.
struct Slot {
    participant: Option<ParticipantId>,
    live: Option<Live>,
    files: Vec<state::Track>,
}

struct Live {
    track: Track,
    /// Freed with the track.
    _place: Place,
    reader: CaptureReader,
    synced_at: Option<Instant>,
}

/// What one look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// What the captures lost, which is silence now.
    pub(super) lost: Duration,
    /// Whether the recording is over.
    pub(super) is_over: bool,
}

impl Running {
    /// A recording without tracks that begins at `start`.
    pub(super) fn new(
        manifest: Manifest,
        epoch: Epoch,
        start: MediaTime,
        folder: PathBuf,
        encoding: Encoding,
        status: watch::Sender<Arc<Manifest>>,
    ) -> Self {
        let (pauses, slots) = (Pauses::default(), Vec::new());
        Self { manifest, epoch, status, folder, encoding, start, until: None, pauses, slots, told_at: start }
    }

    /// Adds a track. Somebody who has one already keeps it.
    ///
    /// # Errors
    /// When its file or the state file cannot be written.
    pub(super) fn add(&mut self, source: Source, place: Place) -> io::Result<()> {
        if self.until.is_some() || self.slots.iter().any(|slot| slot.participant == source.participant) {
            return Ok(());
        }
        let participant = source.participant.map(|id| id.to_string());
        let track = Track::create(Spec {
            folder: self.folder.clone(),
            stem: participant.clone().unwrap_or_else(|| "mixed".to_owned()),
            encoding: self.encoding,
            title: format!("{} — {}", self.manifest.title, source.name),
            participant,
            name: source.name,
            start: self.start,
            joined: source.joined,
        })?;
        let slot = Slot {
            participant: source.participant,
            files: track.files(),
            live: Some(Live { track, _place: place, reader: source.reader, synced_at: None }),
        };
        // The mix comes first, whenever it came.
        let at = if slot.participant.is_none() { 0 } else { self.slots.len() };
        self.slots.insert(at, slot);
        self.save()
    }

    /// Stops taking sound from `at` on.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub(super) fn pause(&mut self, at: MediaTime) -> io::Result<()> {
        if self.manifest.state != State::Recording {
            return Ok(());
        }
        self.pauses.begin(at);
        self.manifest.state = State::Paused;
        self.save()
    }

    /// Takes sound again from `at` on.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub(super) fn resume(&mut self, at: MediaTime) -> io::Result<()> {
        if self.manifest.state != State::Paused {
            return Ok(());
        }
        self.pauses.end(at);
        self.manifest.state = State::Recording;
        self.save()
    }

    /// Notes something beside it.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub(super) fn label(&mut self, name: String, value: String) -> io::Result<()> {
        self.manifest.labels.insert(name, value);
        self.save()
    }

    /// Ends the recording at `at`, as soon as the sound before it has come.
    pub(super) fn stop(&mut self, at: MediaTime) {
        if self.until.is_none() {
            self.until = Some(at.max(self.start));
        }
    }

    /// Takes what the captures hold and hands it to the files.
    ///
    /// # Errors
    /// When a file cannot be written: the caller [`fail`](Self::fail)s the recording.
    pub(super) fn look(&mut self, now: MediaTime) -> io::Result<Looked> {
        let mut looked = Looked { is_over: self.until.is_some(), ..Looked::default() };
        let (until, pauses) = (self.until, &self.pauses);
        let mut has_left = false;
        let certain = now.saturating_sub(LATE);
        for slot in &mut self.slots {
            let Some(live) = &mut slot.live else { continue };
            while let Some(heard) = live.reader.hear() {
                match heard {
                    Heard::Frame(frame) => live.track.hear(frame.at, &frame.samples, pauses, until)?,
                    Heard::Lost(span) => looked.lost += span.duration(),
                }
            }
            // Somebody who has left is heard no more; the mix goes on without anybody.
            if live.reader.has_ended() && slot.participant.is_some() {
                has_left = true;
                slot.finish()?;
                continue;
            }
            live.track.silence_until(until.map_or(certain, |until| until.min(certain)))?;
            live.track.flush()?;
            slot.files = live.track.files();
            looked.is_over &= until.is_some_and(|until| live.track.end() >= until || now >= until + LAST_SOUND);
        }
        if has_left {
            self.save()?;
        } else if now.since(self.told_at) >= SYNC_EVERY {
            self.told_at = now;
            self.tell();
        }
        Ok(looked)
    }

    /// Hands the file that has waited longest, if any is due, to the disk; false when none is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn sync_one(&mut self, now: Instant) -> io::Result<bool> {
        let live = self.slots.iter_mut().filter_map(|slot| slot.live.as_mut());
        let is_due = |live: &&mut Live| live.synced_at.is_none_or(|at| now.saturating_duration_since(at) >= SYNC_EVERY);
        let Some(live) = live.filter(is_due).min_by_key(|live| live.synced_at) else { return Ok(false) };
        live.synced_at = Some(now);
        live.track.sync()?;
        Ok(true)
    }

    /// Ends every file at the end of the recording.
    ///
    /// # Errors
    /// When an end cannot be written: the caller [`fail`](Self::fail)s the recording.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        for slot in &mut self.slots {
            if let (Some(live), Some(until)) = (&mut slot.live, self.until) {
                live.track.silence_until(until)?;
            }
            slot.finish()?;
        }
        self.manifest.state = State::Finished;
        Ok(())
    }

    /// Gives the recording up where it stands, every file playable.
    pub(super) fn fail(&mut self, state: State, reason: String) {
        for slot in &mut self.slots {
            if let Some(live) = slot.live.take() {
                slot.files = live.track.abandon();
            }
        }
        self.manifest.state = state;
        self.manifest.reason = Some(reason);
    }

    /// Writes the state file and tells whoever watches.
    ///
    /// # Errors
    /// When it cannot be written; those who watch are told all the same.
    pub(super) fn save(&mut self) -> io::Result<()> {
        self.tell();
        self.manifest.save(&self.folder)
    }

    /// Writes the state file and tells nobody yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn conclude(&mut self) -> io::Result<()> {
        self.gather();
        self.manifest.save(&self.folder)
    }

    /// Tells whoever watches how the recording stands.
    pub(super) fn tell(&mut self) {
        self.gather();
        self.status.send_replace(Arc::new(self.manifest.clone()));
    }

    fn gather(&mut self) {
        self.manifest.tracks = self.slots.iter().flat_map(|slot| slot.files.iter().cloned()).collect();
        self.manifest.measure();
    }
}

impl Slot {
    /// Ends the track, unless it has ended.
    fn finish(&mut self) -> io::Result<()> {
        let Some(live) = self.live.take() else { return Ok(()) };
        let (files, ended) = live.track.finish();
        self.files = files;
        ended
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::{
        decode::file::Decoder,
        graph::nodes::{
            capture::{Capture, capture},
            harness::Harness,
        },
        record::state::{Container, tests::manifest},
    };

    /// A recording in a folder of its own, on virtual time.
    struct Rig {
        folder: tempfile::TempDir,
        running: Running,
        taken: Arc<AtomicUsize>,
        now: MediaTime,
    }

    impl Rig {
        fn new(container: Container) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (status, _) = watch::channel(Arc::new(manifest("a")));
            #[expect(clippy::disallowed_methods, reason = "an epoch that nobody asks")]
            let epoch = Epoch { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH };
            let encoding = Encoding { container, bitrate_bps: 32_000 };
            let begun = Manifest { start_s: 0.0, format: container, ..manifest("a") };
            let running = Running::new(begun, epoch, MediaTime::ZERO, folder.path().to_owned(), encoding, status);
            Self { folder, running, taken: Arc::default(), now: MediaTime::ZERO }
        }

        fn add(&mut self, participant: Option<u64>) -> Harness<Capture> {
            let (node, reader) = capture();
            let participant = participant.map(ParticipantId);
            let source = Source { participant, name: "Ada".to_owned(), joined: self.now, reader };
            self.running.add(source, Place::take(&self.taken, 9).unwrap()).unwrap();
            Harness::new(node)
        }

        fn after(&mut self, millis: u64) -> Looked {
            self.now += Duration::from_millis(millis);
            self.running.look(self.now).unwrap()
        }

        fn samples(&self, file: &str) -> Vec<f32> {
            decoded(&self.folder.path().join(file))
        }
    }

    fn decoded(path: &Path) -> Vec<f32> {
        let decoder = Decoder::open(fs::File::open(path).unwrap()).unwrap();
        decoder.flat_map(|block| block.unwrap().channels.remove(0)).collect()
    }

    #[test]
    fn sound_is_written_as_it_comes_and_the_end_is_where_it_was_ordered() {
        let mut rig = Rig::new(Container::Wav);
        let mut ada = rig.add(Some(1));
        ada.feed(&[0.5; 48_000]);
        assert!(!rig.after(1_000).is_over);
        // What was looked at is playable, though nobody has ended anything.
        assert_eq!(rig.samples("p1.wav").len(), 48_000);
        rig.running.stop(MediaTime::from_millis(1_500));
        ada.feed(&[0.5; 48_000]);
        assert!(rig.after(100).is_over);
        rig.running.finish().unwrap();
        rig.running.save().unwrap();
        assert_eq!(rig.samples("p1.wav").len(), 72_000);
        assert_eq!((rig.running.manifest.state, rig.running.manifest.duration_s), (State::Finished, 1.5));
        assert_eq!(rig.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_mix_goes_on_in_an_empty_room_and_who_left_has_a_shorter_file() {
        let mut rig = Rig::new(Container::Wav);
        let mut ada = rig.add(Some(1));
        let mix = rig.add(None);
        ada.feed(&[0.5; 48_000]);
        drop(ada);
        rig.after(10_000);
        assert_eq!(rig.taken.load(Ordering::Relaxed), 1);
        rig.running.stop(rig.now);
        assert!(!rig.after(100).is_over);
        assert!(rig.after(200).is_over);
        rig.running.finish().unwrap();
        drop(mix);
        assert_eq!((rig.samples("p1.wav").len(), rig.samples("mixed.wav").len()), (48_000, 480_000));
        rig.running.save().unwrap();
        let files: Vec<_> = rig.running.manifest.tracks.iter().map(|track| track.file.as_str()).collect();
        assert_eq!(files, ["mixed.wav", "p1.wav"]);
    }

    #[test]
    fn a_pause_is_silence_from_the_moment_it_was_ordered_however_late_the_sound_comes() {
        let mut rig = Rig::new(Container::Wav);
        let mut ada = rig.add(Some(1));
        ada.feed(&[0.5; 24_000]);
        rig.running.pause(MediaTime::from_millis(250)).unwrap();
        rig.running.pause(MediaTime::from_millis(300)).unwrap();
        assert_eq!(rig.running.manifest.state, State::Paused);
        rig.after(500);
        ada.feed(&[0.5; 24_000]);
        rig.running.resume(MediaTime::from_millis(750)).unwrap();
        rig.after(500);
        let samples = rig.samples("p1.wav");
        assert_eq!(samples.len(), 48_000);
        for (n, sample) in samples.iter().enumerate() {
            let expected = if (12_000..36_000).contains(&n) { 0.0 } else { 0.5 };
            assert!((sample - expected).abs() < 1e-3, "sample {n}: {sample}");
        }
    }

    #[test]
    fn what_a_capture_lost_is_silence_of_the_same_length() {
        let mut rig = Rig::new(Container::Wav);
        let mut ada = rig.add(Some(1));
        ada.feed(&[0.5; 48_000 * 3]);
        rig.after(3_000);
        ada.feed(&[0.5; 48_000]);
        let looked = rig.after(1_000);
        assert_eq!(looked.lost, Duration::from_secs(1));
        let samples = rig.samples("p1.wav");
        assert_eq!(samples.len(), 4 * 48_000);
        let silent = samples.iter().filter(|sample| **sample == 0.0).count();
        assert_eq!(silent, 48_000);
    }

    #[test]
    fn a_recording_that_fails_leaves_playable_files_and_its_reason() {
        for container in [Container::Ogg, Container::Wav] {
            let mut rig = Rig::new(container);
            let mut ada = rig.add(Some(1));
            ada.feed(&[0.5; 48_000]);
            rig.after(1_000);
            rig.running.fail(State::Failed, "the disk is full".to_owned());
            rig.running.save().unwrap();
            let saved = Manifest::load(rig.folder.path());
            // The folder has another name than the recording: a state file says whose it is.
            assert!(saved.is_err());
            let manifest = &rig.running.manifest;
            assert_eq!((manifest.state, manifest.reason.as_deref()), (State::Failed, Some("the disk is full")));
            assert!(manifest.duration_s > 0.4, "{container:?}: {}", manifest.duration_s);
            let samples = rig.samples(&manifest.tracks[0].file);
            assert!((samples.len() as f64 / 48_000.0 - manifest.duration_s).abs() < 0.03);
        }
    }

    #[test]
    fn nobody_has_two_tracks() {
        let mut rig = Rig::new(Container::Wav);
        let _first = rig.add(Some(1));
        let _second = rig.add(Some(1));
        assert_eq!(rig.taken.load(Ordering::Relaxed), 1);
        assert_eq!(rig.running.manifest.tracks.len(), 1);
    }
}
