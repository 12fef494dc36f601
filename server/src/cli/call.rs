//! `harmony call`: calls somebody from the command line, and does what was asked for until the call is over.
//!
//! A telephone of its own for one call, on a port that the system chooses, by the same rules and trunks as the server's.
//! How the call goes is told on standard error, what is said in it on standard output. Ctrl-C hangs up.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bot::{
    actor::RoomHandle,
    answering::{AnsweredBy, Settings},
    event::RoomEvent,
    ivr::machine::Source,
    ivr::webhook::Method,
    room::Room,
};
use media::record::{Container, Manifest};
use tokio::{signal, task::spawn_blocking};

use crate::{
    agent,
    app::{self, App},
    auth::keys::KeyRing,
    config::Config,
    engine,
    error::ApiError,
    phone::{
        self, Listening, NoPhone,
        call::{Over, Phone, State},
        detect::Detection,
        originate::{self, Originate, Purpose},
        outgoing::NotDialled,
    },
    recording::{self, Recordings, Tracks, Wish},
    store::Store,
    telemetry,
};

/// Entries of the room's log that are read at once.
const ENTRIES: usize = 32;

/// How long the last words and the end of a recording may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// `harmony call …`
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Whom: +4930123456, sip:user@host, or the name of a user who registered.
    #[arg(value_name = "URI")]
    pub uri: String,
    /// Who calls, as the other side is shown it.
    #[arg(long, value_name = "URI", default_value = "")]
    pub from: String,
    /// What the call does: a TwiML file or URL.
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["agent", "play"])]
    pub twiml: Option<String>,
    /// Let this agent talk: the name of a persona; the usual one without a name.
    #[arg(long, value_name = "NAME", conflicts_with = "play", num_args = 0..=1, default_missing_value = "")]
    pub agent: Option<String>,
    /// Play this file, and hang up.
    #[arg(long, value_name = "FILE")]
    pub play: Option<PathBuf>,
    /// Record both sides into this WAV file.
    #[arg(long, value_name = "FILE.wav")]
    pub record: Option<PathBuf>,
    /// Find out who takes it, and say so; what the call does begins when that is known. `message-end` waits for the end
    /// of a machine's greeting, so that a message can be left.
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "enable")]
    pub detect: Option<Detect>,
    /// How long it may ring, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// What is to be found out about whoever takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Detect {
    /// Whether it is a machine.
    Enable,
    /// The same, and when its greeting is over.
    MessageEnd,
}

/// Why the call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The TwiML's address is none.
    #[error("{0:?} is neither a file nor an http(s) URL")]
    Url(String),
    /// The models are broken; see the text.
    #[error(transparent)]
    Engine(#[from] engine::Broken),
    /// The machine lacks something; see the text.
    #[error(transparent)]
    App(#[from] app::Broken),
    /// Recordings cannot be kept; see the text.
    #[error(transparent)]
    Recordings(#[from] recording::Broken),
    /// No telephone; see the text.
    #[error(transparent)]
    Phone(#[from] NoPhone),
    /// Nobody was called; see the text.
    #[error("{0}")]
    NotDialled(String),
    /// Something in the call failed; see the text.
    #[error(transparent)]
    Call(#[from] ApiError),
    /// The loading thread broke.
    #[error("what is loaded at the start could not be: {0}")]
    Loading(#[from] tokio::task::JoinError),
}

impl From<NotDialled> for Error {
    fn from(error: NotDialled) -> Self {
        Self::NotDialled(error.to_string())
    }
}

/// Makes the call; the exit code says whether somebody took it.
///
/// # Errors
/// [`Error`], to be shown as one line.
pub async fn run(args: Args, mut config: Config) -> Result<ExitCode, Error> {
    telemetry::log_to_stderr(&config.log);
    let played = args.play.as_deref().map(read).transpose()?;
    let twiml = args.twiml.as_deref().map(source).transpose()?;
    // Nothing of a single call stays behind but what it was asked to keep.
    let kept = tempfile::tempdir().map_err(|error| Error::File { path: std::env::temp_dir(), error })?;
    config.recording.dir = Some(kept.path().to_owned());
    // Its own registrations would take the server's calls away.
    config.trunks.iter_mut().for_each(|trunk| trunk.register = false);
    let loading = config.clone();
    let ears = spawn_blocking(move || engine::start(&loading)).await??;
    let keeping = config.clone();
    let recordings = spawn_blocking(move || Recordings::open(&keeping)).await??;
    let here = SocketAddr::new(config.sip.host, 0);
    // Nobody comes in by HTTP: there are no keys.
    let keys = KeyRing::none(kept.path());
    let app = spawn_blocking(move || App::new(config, ears, keys)).await??;
    app.keep(recordings);
    if let (Some(_), Ok(folder)) = (&args.agent, super::data_dir(app.config())) {
        match Store::open(&folder).await {
            Ok(store) => app.remember_in(store),
            // The call is made all the same.
            Err(error) => tracing::error!(%error, "nobody is remembered, and reminders are refused"),
        }
    }
    let listening = Listening { udp: vec![here], tcp: vec![here], tls: Vec::new() };
    let phones = phone::start_at(&app, listening).await?;
    app.connect(phones.clone());
    let room = match &twiml {
        Some(_) => None,
        None => Some(app.open_room("")?),
    };
    let purpose = match (twiml, &args.agent, &room) {
        (Some(source), ..) => Purpose::Application { source, fallback: None, status: None },
        (None, Some(persona), Some(room)) => {
            let persona = Some(persona.as_str()).filter(|persona| !persona.is_empty());
            Purpose::Agent(Box::new(agent::take_seat(&app, room, persona).await?))
        }
        (None, None, Some(room)) => Purpose::Room(room.clone()),
        (None, _, None) => Purpose::Listen,
    };
    let wish = Originate {
        to: args.uri,
        from: args.from,
        purpose,
        send_digits: String::new(),
        ring_for: Duration::from_secs(args.timeout.max(1)),
        longest: None,
        credentials: None,
        payer: "command line".to_owned(),
        detection: args.detect.map(detection),
    };
    let phone = originate::originate(&app, &phones, wish).await?;
    let telling = tokio::spawn(tell_states(phone.clone()));
    let identifying = args.detect.map(|_| tokio::spawn(tell_who(phone.clone())));
    let outcome = tokio::select! {
        outcome = talk(&app, &phone, played, args.detect.is_some(), args.record.is_some()) => outcome,
        _ = signal::ctrl_c() => {
            phone.hang_up().await;
            Ok(None)
        }
    };
    let over = phone.over().await;
    telling.abort();
    if let Some(identifying) = identifying {
        // It has ended with the call, or does now.
        let _ = identifying.await;
    }
    tell(&format!("over: {}", over.as_str()));
    if let (Ok(Some(manifest)), Some(path)) = (&outcome, &args.record) {
        save(&app, manifest, path)?;
    }
    outcome?;
    app.shutdown().cancel();
    phones.trunks_left().await;
    let was_taken = matches!(phone.now(), State::Ended { answered: Some(_), .. }) && over != Over::Failed;
    Ok(if was_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Once it is taken: plays, records, writes down; returns when it is over.
async fn talk(
    app: &App,
    phone: &Phone,
    played: Option<bytes::Bytes>,
    waits_for_whom: bool,
    is_recorded: bool,
) -> Result<Option<Arc<Manifest>>, Error> {
    let mut place = phone.place();
    let room = tokio::select! {
        found = place.wait_for(Option::is_some) => found.ok().and_then(|place| place.as_ref().map(|place| place.room.clone())),
        _ = phone.over() => None,
    };
    let Some(room) = room else { return Ok(None) };
    let manifest = if is_recorded {
        Some(recording::start(app, &room, Wish { format: Some(Container::Wav), tracks: Tracks::Mixed }).await?)
    } else {
        None
    };
    let writing = tokio::spawn(write_down(room.clone()));
    if waits_for_whom {
        phone.identified().await;
    }
    if let Some(file) = played.filter(|_| !phone.now().is_over()) {
        let sound = app.sound(&room);
        let seat = sound.player().place()?;
        let started = sound.player().play(app, &room, &sound, seat, file).await?;
        let mut log = room.follow(Some(0));
        // Until it was heard, or the other side had enough of it.
        let heard = async {
            while let Ok(entries) = log.next(ENTRIES).await {
                let is_over =
                    |event: &RoomEvent| matches!(event, RoomEvent::PlayEnded { play, .. } if *play == started.play);
                if entries.is_empty() || entries.iter().any(|entry| is_over(&entry.event)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = heard => phone.hang_up().await,
            _ = phone.over() => {}
        }
    }
    phone.over().await;
    recording::end_with(app, room.id()).await;
    room.close().await;
    // Its last words are in the log by now.
    let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    Ok(manifest)
}

/// Writes finals to standard output, and what an agent said.
///
/// Whoever reads only the first of them ends this, not the call.
async fn write_down(room: RoomHandle) {
    let mut log = room.follow(Some(room.read(Room::last_seq)));
    while let Ok(entries) = log.next(ENTRIES).await {
        if entries.is_empty() {
            return;
        }
        for entry in entries {
            let line = match &entry.event {
                RoomEvent::TranscriptFinal { segment } if !segment.text.is_empty() => {
                    format!("{}: {}", segment.speaker, segment.text)
                }
                RoomEvent::BotSpoke { text, .. } => format!("agent: {text}"),
                RoomEvent::BotInterrupted { text, .. } => format!("agent: {text} \u{2014}"),
                _ => continue,
            };
            if writeln!(std::io::stdout(), "{line}").is_err() {
                return;
            }
        }
    }
}

async fn tell_states(phone: Phone) {
    let mut state = phone.state();
    loop {
        let now = state.borrow_and_update().clone();
        match now {
            State::Dialling => tell("calling"),
            State::Ringing => tell("ringing"),
            State::Early => tell("ringing, with sound"),
            State::Answered { .. } => tell("taken"),
            State::Ended { .. } => return,
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

async fn tell_who(phone: Phone) {
    let who = match phone.identified().await {
        Some(AnsweredBy::Human) => "a person (human)".to_owned(),
        Some(AnsweredBy::Fax) => "a fax machine (fax)".to_owned(),
        Some(AnsweredBy::Unknown) => "whom it cannot tell (unknown)".to_owned(),
        Some(machine) => format!("a machine ({})", machine.name()),
        None => return,
    };
    tell(&format!("taken by {who}"));
}

/// How the call goes, for whoever waits; it goes on where nobody does.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "harmony: {what}");
}

fn read(path: &Path) -> Result<bytes::Bytes, Error> {
    fs::read(path).map(bytes::Bytes::from).map_err(|error| Error::File { path: path.to_owned(), error })
}

fn detection(how: Detect) -> Detection {
    let settings = Settings { until_message_end: how == Detect::MessageEnd, ..Settings::default() };
    Detection { settings, is_aside: false, told: None }
}

fn source(named: &str) -> Result<Source, Error> {
    if named.contains("://") {
        let endpoint = originate::endpoint(named, Method::Post).filter(|endpoint| endpoint.url.scheme() != "file");
        return endpoint.map(Source::At).ok_or_else(|| Error::Url(named.to_owned()));
    }
    let path = Path::new(named);
    let text = fs::read_to_string(path).map_err(|error| Error::File { path: path.to_owned(), error })?;
    Ok(Source::Inline(text))
}

/// Copies what was recorded of both sides.
fn save(app: &App, manifest: &Manifest, path: &Path) -> Result<(), Error> {
    let recorder = app.recordings()?.recorder();
    let failed = |error| Error::File { path: path.to_owned(), error };
    let whole = recorder.show(&manifest.id).map_err(failed)?;
    let mixed = whole.tracks.first().and_then(|track| recorder.path(&whole, &track.file));
    match mixed {
        Some(mixed) => fs::copy(mixed, path).map(drop).map_err(failed),
        None => Err(failed(std::io::ErrorKind::NotFound.into())),
    }
}
