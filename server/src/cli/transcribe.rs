//! `harmony transcribe`: recordings in, transcripts out, without a server.
//!
//! Transcripts go to standard output (or into a folder), everything else to standard error: which recognizer
//! runs, a progress bar on a terminal, warnings, one line per file that failed. The files are done one after
//! the other; one that fails does not stop the rest.

mod latency;
mod show;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use asr::{
    diarize::Diarization,
    pool::{Ears, StreamConfig},
    recognizer::{Hints, Info},
};
use media::ears::Listen;

use self::{latency::Latencies, show::Show};
use crate::{
    clock::Clock,
    config::{Config, Engine},
    engine::{self, Broken, NoEars},
    format::{Format, text},
    known_voices::Known,
    transcribe::{self, Job, Pace, Source, TranscribeError, Update, Voices},
    transcript::{Speakers, Transcript},
};

/// `harmony transcribe …`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is written.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Which engine listens; the configuration's when not given.
    #[arg(long, value_enum)]
    pub engine: Option<Engine>,
    /// The language spoken: an ISO 639-1 code such as en or de, or auto.
    #[arg(long, default_value = "auto", value_parser = language)]
    pub language: Language,
    /// Tell who speaks: by channel, or by voice where several people share one.
    #[arg(long)]
    pub diarize: bool,
    /// Tell who speaks, and call those whose voices are known (`harmony speakers`) by their names.
    #[arg(long)]
    pub known: bool,
    /// How many speakers to expect (implies --diarize).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub speakers: Option<u16>,
    /// Play the file at the speed of a live call, show words as they come, and tell the latency.
    #[arg(long)]
    pub realtime: bool,
    /// Write each transcript into this folder, named after its file, rather than to standard output.
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Recordings; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// The value of `--language`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Language {
    /// Whatever is spoken, as far as the engine can tell.
    Auto,
    /// This one (ISO 639-1).
    Code(String),
}

fn language(value: &str) -> Result<Language, String> {
    let code = value.to_ascii_lowercase();
    match code.as_str() {
        "auto" => Ok(Language::Auto),
        _ if code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()) => Ok(Language::Code(code)),
        _ => Err("expected auto or an ISO 639-1 code such as en or de".to_owned()),
    }
}

/// Why nothing could be transcribed at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model is missing.
    #[error(transparent)]
    NoEars(#[from] NoEars),
    /// A model or the engine is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The recognizer that runs cannot do what was asked of it.
    #[error(transparent)]
    Unable(#[from] TranscribeError),
    /// The output could not be written.
    #[error("cannot write the transcript: {0}")]
    Output(#[from] io::Error),
}

/// Transcribes every file.
///
/// # Errors
/// [`Error`], to be shown as one line. Files that fail are reported as they fail, and make the exit code 1.
pub async fn run(args: Args, mut config: Config) -> Result<ExitCode, Error> {
    if let Err(wrong) = checked(&args) {
        say(&format!("harmony: {wrong}"))?;
        return Ok(ExitCode::from(2));
    }
    config.asr.engine = args.engine.unwrap_or(config.asr.engine);
    // A file may have a stream per channel, and is alone here.
    config.limits.streams_max = Some(media::decode::MAX_CHANNELS);
    let config = Arc::new(config);
    let for_ears = Arc::clone(&config);
    let ears =
        tokio::task::spawn_blocking(move || engine::start(&for_ears)).await.expect("loading does not panic")??;
    say(&recognizer_line(ears.info()))?;
    transcribe::check_language(ears.info(), &hints(&args))?;
    let known = if args.known { known(&config).await? } else { Known::default() };
    let mut failed = false;
    let mut latencies = Latencies::default();
    for path in &args.files {
        match one(&ears, path, &args, &config, &known, &mut latencies).await {
            Ok(()) => {}
            Err(OneError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::FAILURE),
            Err(error) => {
                failed = true;
                say(&format!("harmony: {}: {error}", path.display()))?;
            }
        }
    }
    if args.realtime {
        say(&latencies.to_string())?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Why one file has no transcript.
#[derive(Debug, thiserror::Error)]
enum OneError {
    #[error(transparent)]
    Transcribe(#[from] TranscribeError),
    #[error("cannot write the transcript: {0}")]
    Output(#[from] io::Error),
}

async fn one(
    ears: &Ears,
    path: &Path,
    args: &Args,
    config: &Arc<Config>,
    known: &Known,
    latencies: &mut Latencies,
) -> Result<(), OneError> {
    let name = path.to_string_lossy();
    let diarize = args.diarize || args.known || args.speakers.is_some();
    let job = Job {
        hints: hints(args),
        listen: if diarize { Listen::PerChannel } else { Listen::Mixed },
        speakers: diarize,
        ..Job::new(source(path), Clock.today())
    };
    let job = if diarize { Job { voices: voices(config, known, args.speakers).await, ..job } } else { job };
    let job = match args.realtime {
        true => Job { pace: Pace::Live, endpointing_ms: StreamConfig::default().endpointing_ms, ..job },
        false => job,
    };
    let show = Show::new(&name, args.realtime);
    let mut running = transcribe::start(ears, job).await?;
    // Live text is printed as it is said; every other output is one piece, and so is text that waits for its speakers.
    let printed_live =
        args.realtime && args.format == Format::Text && args.out_dir.is_none() && !running.tells_voices();
    let transcript = loop {
        match running.next().await {
            Some(Ok(Update::Progress(fraction))) => show.progress(fraction),
            Some(Ok(Update::Partial { lane, utterance, stable_words, words })) => {
                latencies.partial(lane, utterance, &words, Clock.now().saturating_duration_since(running.began()));
                show.partial(lane, stable_words, &words);
            }
            Some(Ok(Update::Segment(segment))) => {
                if args.realtime {
                    latencies.last(&segment, Clock.now().saturating_duration_since(running.began()));
                    show.finished(segment.lane);
                }
                if printed_live {
                    let speaker = running.speakers().name(segment.lane);
                    show.aside(|| print(&text::line(speaker.as_deref(), &segment)))?;
                }
            }
            Some(Ok(Update::Done(transcript))) => break *transcript,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(TranscribeError::Closing.into()),
        }
    };
    show.end();
    for warning in transcript.warnings.iter().cloned().chain(expected_speakers(&transcript, args.speakers)) {
        say(&format!("harmony: {name}: warning: {warning}"))?;
    }
    if printed_live {
        return Ok(());
    }
    match &args.out_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            std::fs::write(dir.join(file_name(path, args.format)), args.format.write(&transcript, &name))?;
        }
        None if args.format == Format::Text && args.files.len() > 1 => {
            print(&format!("== {name} ==\n{}\n", args.format.write(&transcript, &name)))?;
        }
        None => print(&args.format.write(&transcript, &name))?,
    }
    Ok(())
}

/// What tells voices apart in one recording, or why nothing does.
async fn voices(config: &Arc<Config>, known: &Known, expected: Option<u16>) -> Voices {
    let config = Arc::clone(config);
    let wish = Diarization { known: known.prints.clone(), expected: expected.map(usize::from) };
    let loaded = tokio::task::spawn_blocking(move || Voices::load(&config, wish));
    loaded.await.expect("loading does not panic").named(known.names.clone())
}

/// Whose voices are known here. That there is nobody is said, since somebody was asked for.
async fn known(config: &Arc<Config>) -> io::Result<Known> {
    let config = Arc::clone(config);
    let known = tokio::task::spawn_blocking(move || Known::here(&config)).await.expect("reading does not panic");
    if known.names.is_empty() {
        say("harmony: warning: nobody's voice is known to the voice model here; `harmony speakers list` says more")?;
    }
    Ok(known)
}

/// What clap cannot see: several files whose outputs would run into each other.
fn checked(args: &Args) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let clash = args.files.iter().map(|path| file_name(path, args.format)).find(|name| !names.insert(name.clone()));
    match (&args.out_dir, clash) {
        (Some(_), Some(name)) => return Err(format!("two files would both be written to {name}; name them apart")),
        (None, _) if args.files.len() > 1 && matches!(args.format, Format::Srt | Format::Vtt) => {
            return Err("the subtitles of several files need --out-dir: their times all begin at zero".to_owned());
        }
        _ => {}
    }
    match args.files.iter().filter(|path| is_stdin(path)).count() {
        0 | 1 => Ok(()),
        _ => Err("standard input (-) can be read only once".to_owned()),
    }
}

fn hints(args: &Args) -> Hints {
    let language = match &args.language {
        Language::Auto => None,
        Language::Code(code) => Some(code.clone()),
    };
    Hints { language, ..Hints::default() }
}

fn source(path: &Path) -> Source {
    if is_stdin(path) { Source::Stream(Box::new(io::stdin())) } else { Source::Path(path.to_owned()) }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn file_name(path: &Path, format: Format) -> String {
    let stem = if is_stdin(path) { "stdin".into() } else { path.file_stem().unwrap_or_default().to_string_lossy() };
    format!("{stem}.{}", format.extension())
}

fn recognizer_line(info: &Info) -> String {
    let mut line = format!("recognizer: {} ({})", info.model, info.engine);
    match info.languages.as_slice() {
        [only] => write!(line, ", which knows only '{only}'"),
        [] => Ok(()),
        many => write!(line, ", {} languages", many.len()),
    }
    .expect("writing to a string cannot fail");
    line
}

/// A number of speakers that the recording does not bear out is said, not silently dropped.
fn expected_speakers(transcript: &Transcript, expected: Option<u16>) -> Option<String> {
    let expected = usize::from(expected?);
    match transcript.speakers {
        Speakers::ByChannel if expected != transcript.lanes.len() => Some(format!(
            "{expected} speakers were expected; the recording has {} channels, each of them one speaker",
            transcript.lanes.len()
        )),
        Speakers::ByVoice { people } if expected != heard(transcript, people) => {
            let people = heard(transcript, people);
            Some(format!("{expected} speakers were expected; {people} were told apart by their voices"))
        }
        Speakers::Unasked | Speakers::ByChannel | Speakers::ByVoice { .. } | Speakers::Unknown => None,
    }
}

/// How many of the people were heard: whoever is known and silent has a lane too.
fn heard(transcript: &Transcript, people: usize) -> usize {
    let lanes = transcript.lanes.iter().take(people.min(transcript.known.len()));
    people - lanes.filter(|lane| lane.segments.is_empty()).count()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{line}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(std::iter::once("transcribe").chain(line.split(' '))).map(|line| line.args)
    }

    #[test]
    fn wrong_use_is_refused_before_any_model_is_loaded() {
        for line in [
            "--format xml a.wav",
            "--language english a.wav",
            "--speakers 0 a.wav",
            "--engine siri a.wav",
            "--realtime",
        ] {
            assert_eq!(args(line).unwrap_err().exit_code(), 2, "{line}");
        }
        for line in ["--format srt a.wav b.wav", "- -", "--out-dir out a/x.wav b/x.mp3"] {
            assert!(checked(&args(line).unwrap()).is_err(), "{line}");
        }
    }

    #[test]
    fn several_files_are_fine_where_their_outputs_stay_apart() {
        for line in ["a.wav b.wav -", "--format rttm a.wav b.wav", "--format vtt --out-dir out a.wav b.wav"] {
            assert!(checked(&args(line).unwrap()).is_ok(), "{line}");
        }
    }

    #[test]
    fn outputs_are_named_after_their_recordings() {
        assert_eq!(file_name(Path::new("calls/monday.late.wav"), Format::Vtt), "monday.late.vtt");
        assert_eq!(file_name(Path::new("-"), Format::Text), "stdin.txt");
    }

    #[test]
    fn a_number_of_speakers_that_channels_do_not_bear_out_is_said() {
        use crate::transcript::sample;
        let transcript = sample::transcript(Speakers::ByChannel, vec![sample::segment(1, "Yes.", 0)]);
        assert!(expected_speakers(&transcript, Some(3)).is_some());
        assert_eq!(expected_speakers(&transcript, Some(2)), None);
        assert_eq!(expected_speakers(&transcript, None), None);
        let transcript = sample::transcript(Speakers::ByVoice { people: 2 }, vec![sample::segment(1, "Yes.", 0)]);
        assert!(expected_speakers(&transcript, Some(3)).is_some_and(|said| said.contains("2 were told apart")));
        assert_eq!(expected_speakers(&transcript, Some(2)), None);
    }
}
