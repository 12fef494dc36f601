//! Recording a room: a file per participant and one of everybody, safe against every way to end.
//!
//! What captures hand out is written by one thread, never by the engine: Ogg/Opus in pages of half a second, or
//! WAV whose header is always right. A process that is killed loses less than two seconds; the next start names
//! what it was `interrupted` and ends its files. A disk that is full ends the recording, not the call.
//!
//! All files of a recording begin at one moment and run with the room's clock: who comes later, what was lost and
//! what was paused is silence. So a word that the transcript has at `t` is at `t - start_s` in every file.

mod file;
mod library;
mod ogg;
mod opus;
mod pauses;
mod recorder;
mod repair;
mod running;
mod state;
mod track;
mod wav;

pub use opus::OggOpus;
pub use recorder::{Opening, Options, RecordError, Recorder, Recording, Stats};
pub use running::Source;
pub use state::{BadId, Container, Encoding, Manifest, RecordingId, State, Track};
