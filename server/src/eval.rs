//! Scripted conversations: a caller who says what is written, an agent as it is configured, and whether all was as it
//! should be.
//!
//! `read` takes a script and what it names, `Stage::perform` makes one call of it by the whole way that a caller's
//! voice goes: room, engine, ears, turns, model, tools, voice, and back to the caller's ear. Only what the script itself
//! replaces is not as on a real call, and the report says so: the words of the ears, the model, tools. Each conversation
//! has a server of its own in this process, without a port for anybody; nothing of it is kept. Never real time.

mod judge;
mod model;
mod phrase;
mod prompter;
pub(crate) mod report;
mod script;
mod seen;
mod speech;
mod talk;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use asr::{
    onnx::Library,
    pool::{Ears, Options},
    turn,
    vad::silero::Silero,
};
use bot::persona::{BadPersona, Models, Persona};
use tokio::task::spawn_blocking;

pub use self::script::Hearing;
use self::{
    judge::{Observed, judge, judge_greeting},
    model::Model,
    prompter::Prompter,
    report::{GREETING, Outcome, Row},
    script::{BadScript, Does, Script, Who},
    speech::{NoSound, Sound},
    talk::Talk,
};
use crate::{
    app::{self, App},
    auth::keys::KeyRing,
    config::Config,
    engine::{self, NoEars},
    error::ApiError,
    live::LiveError,
    models::{self, Store, Unusable},
    store,
};

/// A script with what it names, ready to be performed.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    path: PathBuf,
    script: Script,
    /// The persona of a file beside the script.
    persona: Option<Persona>,
}

/// Why a script cannot be performed by anybody: it is its author's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It, or what it names, cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is wrong.
    #[error("{}:{bad}", path.display())]
    Script {
        /// Which.
        path: PathBuf,
        /// What is wrong, with the line.
        bad: BadScript,
    },
    /// Its persona is wrong.
    #[error("{}: {bad}", path.display())]
    Persona {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with the line.
        bad: BadPersona,
    },
    /// A recording that it names is not there.
    #[error("{}: there is no recording {}", path.display(), recording.display())]
    NoRecording {
        /// Which script.
        path: PathBuf,
        /// Where it should be.
        recording: PathBuf,
    },
}

/// Why a conversation came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder for what is kept meanwhile, or no port for the model.
    #[error("the machine gives no folder or no port: {0}")]
    Machine(#[from] io::Error),
    /// A recognizer is missing; see the text.
    #[error(transparent)]
    NoEars(#[from] NoEars),
    /// The models are broken; see the text.
    #[error(transparent)]
    Engine(#[from] engine::Broken),
    /// The machine lacks something; see the text.
    #[error(transparent)]
    App(#[from] app::Broken),
    /// Nothing can be kept meanwhile; see the text.
    #[error(transparent)]
    Store(#[from] store::Broken),
    /// Nobody could talk; see the text.
    #[error(transparent)]
    Call(#[from] ApiError),
    /// A line does not sound; see the text.
    #[error("{0}")]
    Sound(String),
    /// The caller's sound was not taken.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Words are to be heard as they are written, and are not.
    #[error("nobody knows what is said in {}: write it as says beside plays, or let the recognizer hear it", .0.display())]
    Wordless(PathBuf),
    /// The call broke.
    #[error("the caller was thrown out of the call")]
    Lost,
    /// A thread that loads broke.
    #[error("what is loaded at the start could not be: {0}")]
    Loading(#[from] tokio::task::JoinError),
}

impl From<NoSound> for Error {
    fn from(error: NoSound) -> Self {
        Self::Sound(error.to_string())
    }
}

/// What differs from what the scripts say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// How callers are heard, whatever a script says.
    pub(crate) hearing: Option<Hearing>,
    /// Whether the configured model is asked where a script brings answers.
    pub(crate) asks_configured: bool,
    /// How often a budget of time may be used up.
    pub(crate) slack: f64,
}

/// Reads a script and what it names.
///
/// # Errors
/// [`Unreadable`].
pub(crate) fn read(path: &Path) -> Result<Conversation, Unreadable> {
    let text =
        |path: &Path| fs::read_to_string(path).map_err(|error| Unreadable::Read { path: path.to_owned(), error });
    let script = Script::parse(&text(path)?).map_err(|bad| Unreadable::Script { path: path.to_owned(), bad })?;
    let folder = folder(path);
    let persona = match &script.persona {
        Some(Who::File(file)) => {
            let file = folder.join(file);
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let persona = Persona::parse(&name, &text(&file)?);
            Some(persona.map_err(|bad| Unreadable::Persona { path: file, bad })?)
        }
        Some(Who::Named(_)) | None => None,
    };
    let mut recordings = script.lines.iter().filter_map(|line| match &line.does {
        Does::Plays { file, .. } => Some(folder.join(file)),
        Does::Says { .. } | Does::Presses(..) => None,
    });
    match recordings.find(|recording| !recording.is_file()) {
        Some(recording) => Err(Unreadable::NoRecording { path: path.to_owned(), recording }),
        None => Ok(Conversation { path: path.to_owned(), script, persona }),
    }
}

/// What a script's files are named from.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

/// Where conversations are performed, one after the other.
pub(crate) struct Stage {
    config: Config,
    /// The configured recognizer, once it was needed.
    ears: Option<Ears>,
}

impl Stage {
    /// One that is configured so.
    pub(crate) fn new(config: Config) -> Self {
        Self { config, ears: None }
    }

    /// Performs a conversation, and judges it.
    ///
    /// # Errors
    /// [`Error`] when it could not be performed to its end.
    pub(crate) async fn perform(&mut self, conversation: &Conversation, wishes: Wishes) -> Result<Outcome, Error> {
        let Conversation { path, script, persona } = conversation;
        let hearing = wishes.hearing.unwrap_or(script.hearing);
        if hearing == Hearing::AsWritten
            && let Some(recording) = script.wordless()
        {
            return Err(Error::Wordless(recording.to_owned()));
        }
        let mut config = self.config.clone();
        let kept = tempfile::tempdir()?;
        config.data.dir = Some(kept.path().to_owned());
        let model = if script.model.is_empty() || wishes.asks_configured {
            None
        } else {
            let model = Model::start(script.model.clone(), script.model_takes).await?;
            model.stand_in(&mut config);
            Some(model)
        };
        let thinks = match (&model, config.llm.first()) {
            (Some(_), _) => format!("scripted, first word after {} ms", script.model_takes.as_millis()),
            (None, Some(configured)) => format!("as configured, {} first", configured.name()),
            (None, None) => "none: rules answer".to_owned(),
        };
        let prompter = (hearing == Hearing::AsWritten).then(Prompter::new);
        let ears = match &prompter {
            Some(prompter) => {
                let (prompter, config) = (prompter.clone(), config.clone());
                spawn_blocking(move || prompted(&config, prompter)).await??
            }
            None => self.recognizer().await?,
        };
        // Nobody comes in by HTTP: there are no keys.
        let keys = KeyRing::none(kept.path());
        let app = spawn_blocking(move || App::new(config, Ok(ears), keys)).await??;
        // What an agent keeps goes with the folder.
        app.remember_in(store::Store::open(kept.path()).await?);
        let played = play(&app, conversation, persona.as_ref(), (model.as_ref(), prompter.as_ref())).await;
        app.shutdown().cancel();
        app.agents().close().await;
        let rows = rows(script, played?, wishes.slack);
        let title = script.title.clone();
        Ok(Outcome { file: path.display().to_string(), title, hearing: hearing.name(), model: thinks, rows })
    }

    /// The configured recognizer.
    async fn recognizer(&mut self) -> Result<Ears, Error> {
        if let Some(ears) = &self.ears {
            return Ok(ears.clone());
        }
        let config = self.config.clone();
        let ears = spawn_blocking(move || engine::start(&config)).await???;
        Ok(self.ears.insert(ears).clone())
    }
}

/// What was observed of the agent's first words, where there are any, and of each line.
type Played = (Option<Observed>, Vec<Observed>);

/// What was observed, with what of it was not as it should be.
fn rows(script: &Script, (greeting, lines): Played, slack: f64) -> Vec<Row> {
    // An agent that says nothing first has not said what its first words must hold.
    let greeting = greeting.or_else(|| (!script.greeting.words.is_empty()).then(Observed::default));
    let greeting = greeting.map(|observed| {
        let misses = judge_greeting(&script.greeting, &observed);
        Row { does: GREETING.to_owned(), observed, misses }
    });
    let lines = script.lines.iter().zip(lines).map(|(line, observed)| {
        let misses = judge(line, &observed, slack);
        Row { does: line.does.shown(), observed, misses }
    });
    greeting.into_iter().chain(lines).collect()
}

/// Makes the call.
async fn play(
    app: &App,
    conversation: &Conversation,
    persona: Option<&Persona>,
    replaced: (Option<&Model>, Option<&Prompter>),
) -> Result<Played, Error> {
    let Conversation { path, script, .. } = conversation;
    let mut persona = match (persona, &script.persona) {
        (Some(persona), _) => persona.clone(),
        (None, Some(Who::Named(name))) => Persona::clone(&*app.agents().persona(Some(name.as_str()))?),
        (None, _) => Persona::clone(&*app.agents().persona(None)?),
    };
    persona.tools.extend(script.tools.iter().map(|scripted| scripted.tool.name.clone()));
    if replaced.0.is_some() {
        // Whichever it would ask, the script answers.
        persona.models = Models { temperature_milli: persona.models.temperature_milli, ..Models::default() };
    }
    let (voices, lines, folder) = (app.voices()?.clone(), script.lines.clone(), folder(path).to_owned());
    let sounds: Vec<Option<Sound>> = spawn_blocking(move || {
        lines.iter().map(|line| speech::sound(line, &voices, &folder)).collect::<Result<_, NoSound>>()
    })
    .await??;
    Talk::begin(app, persona, script, replaced).await?.run(sounds).await
}

/// Ears that hear when somebody speaks, and take the words from the script.
fn prompted(config: &Config, prompter: Prompter) -> Result<Ears, engine::Broken> {
    let store = Store::open(models::folder(None, config.models.dir.as_deref())?);
    let library = Library::open(&store.library()?)?;
    let silero = Silero::load(&library, &store.silero()?)?;
    let turns = match store.smart_turn() {
        Ok(path) => Some(turn::Model::load(&library, &path)?),
        Err(Unusable::Missing { .. }) => None,
        Err(damaged) => return Err(damaged.into()),
    };
    Ok(Ears::start_with_turns(Arc::new(prompter), silero, turns, Options { workers: 1, streams_max: 4 })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conversations that are shipped.
    fn shipped() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/conversations");
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        paths.sort();
        paths
    }

    #[test]
    fn the_examples_can_be_performed_in_both_languages() {
        let names: Vec<String> =
            shipped().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        for language in ["en-", "de-"] {
            assert!(names.iter().filter(|name| name.starts_with(language)).count() >= 3, "{names:?}");
        }
        for path in shipped() {
            let conversation = read(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(
                !conversation.script.title.is_empty() && !conversation.script.model.is_empty(),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn first_words_that_are_wanted_and_never_come_are_missed() {
        let of = |greeting: &str| {
            let script = Script::parse(&format!("{greeting}[[line]]\nsays = \"Hello?\"\n")).unwrap();
            rows(&script, (None, vec![Observed::default()]), 1.0)
        };
        let missed = of("[greeting]\nwords = [\"Harmony\"]\n");
        assert_eq!((missed.len(), missed[0].does.as_str()), (2, GREETING));
        assert_eq!(missed[0].misses, ["nothing was answered", "not said: Harmony"]);
        assert!(of("").iter().all(|row| row.does != GREETING));
    }

    #[test]
    fn what_a_script_names_has_to_be_there_and_right() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let path = folder.path().join("script.toml");
            fs::write(&path, text).unwrap();
            read(&path).map_or_else(|error| error.to_string(), |_| String::new())
        };
        fs::write(folder.path().join("wrong.toml"), "titel = \"x\"\n").unwrap();
        let line = "[[line]]\nsays = \"Hello?\"\n";
        assert_eq!(told(line), "");
        assert!(told(&format!("persona = \"wrong.toml\"\n{line}")).contains("wrong.toml:1"));
        assert!(told(&format!("persona = \"absent.toml\"\n{line}")).contains("absent.toml"));
        assert!(told("[[line]]\nplays = \"absent.wav\"\n").contains("absent.wav"));
        assert!(told("[[line]]\nsay = \"Hello?\"\n").contains("script.toml:2: "));
        assert!(read(&folder.path().join("none.toml")).is_err());
    }
}
