//! How fast an agent answers, and how fast it falls silent: measured at the far end, by a client that speaks and listens.
//!
//! The real server with its recognizer, its model of turns' ends where that is installed, espeak-ng's voice, and a language
//! model that is scripted: its first word comes after 150 ms. What is asked is spoken by espeak-ng, too, in whole sentences.
//! From the last loud piece that was sent to the first loud piece of the answer: p50 ≤ 700 ms, p95 ≤ 1,100 ms. From the
//! first loud piece that is said over an answer to the last loud piece of it: p95 ≤ 200 ms. One conversation at a time;
//! the client's share of the machine is in the figures.
//!
//! After that fifty at once ([`crowd`]); with `--minutes 10` nothing but those, for so long.

#[path = "conversation/crowd.rs"]
mod crowd;

use std::{collections::VecDeque, time::Duration};

use benches::{Budgets, percentile};
use serde_json::json;
use tests::{
    client::{Said, Socket, linear16},
    llm::Model,
    server::{Options, Server, models_or_skip},
    spoken::Spoken,
};
use tokio::time::{Instant, Interval, interval, timeout};

/// What the client says and hears.
const HZ: u32 = 16_000;

/// Samples of 20 ms.
const PIECE: usize = HZ as usize / 50;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is said of a question that was not answered in that time.
const NO_ANSWER: &str = "no answer came";

/// Louder than this is sound.
const LOUD: f32 = 0.01;

/// Pieces of silence that end an answer: no pause within one is so long.
const OVER: usize = 60;

/// Whole questions: what is measured is not how well it is heard that somebody goes on.
const QUESTIONS: [&str; 10] = [
    "What are your opening hours?",
    "Where can I park my car?",
    "Do you sell garden chairs?",
    "I would like to speak to the manager.",
    "How much is a ticket for two people?",
    "Can I bring my dog?",
    "When does the next train leave?",
    "Is there a doctor in the house?",
    "Please tell me your address.",
    "Do you take credit cards?",
];

const ANSWER: &str = "We are open every day until six.";
const LONG_ANSWER: &str = "Once upon a time there was a miller who had three sons, a mill, a donkey and a cat. \
                           When he died the eldest took the mill, the second took the donkey, and the youngest the cat.";

fn main() {
    let mut budgets = Budgets::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let why = match (runtime, minutes()) {
        (Ok(runtime), Ok(minutes)) => runtime.block_on(run(&mut budgets, minutes)).err(),
        (Err(error), _) => Some(error.to_string()),
        (_, Err(why)) => Some(why),
    };
    if let Some(why) = why {
        budgets.note(&why);
        std::process::exit(i32::from(!why.starts_with("skipped")));
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

/// For how many minutes fifty talk, where that is said.
fn minutes() -> Result<Option<u64>, String> {
    let mut arguments = std::env::args();
    if !arguments.any(|argument| argument == "--minutes") {
        return Ok(None);
    }
    let minutes =
        arguments.next().and_then(|minutes| minutes.parse().ok()).filter(|minutes| (1..=600).contains(minutes));
    minutes.map(Some).ok_or_else(|| "--minutes takes a whole number from 1 to 600".to_owned())
}

async fn run(budgets: &mut Budgets, minutes: Option<u64>) -> Result<(), String> {
    if minutes.is_none() {
        one_at_a_time(budgets).await?;
    }
    crowd::run(budgets, minutes).await
}

async fn one_at_a_time(budgets: &mut Budgets) -> Result<(), String> {
    models_or_skip().ok_or("skipped: there is no recognizer")?;
    let spoken = Spoken::start(HZ)?;

    budgets.section("an answer: last sound of the question to first sound of it");
    let model = Model::with(json!([{"say": ANSWER}])).await;
    let server = serving(&model)?;
    let mut talk = Talk::begin(&server.ws_url()).await?;
    let mut took = Vec::new();
    for round in 0..3 {
        for question in QUESTIONS {
            let asked = talk.says(&spoken.says("en", question)).await?;
            let answered = talk.until_loud().await?;
            talk.until_silent().await?;
            // The first round also loads what is loaded at first use.
            if round > 0 {
                took.push((answered - asked).as_secs_f64() * 1_000.0);
            }
        }
    }
    budgets.at_most("p50", percentile(&took, 50), 700.0, "ms");
    budgets.at_most("p95", percentile(&took, 95), 1_100.0, "ms");
    budgets.figure("longest", percentile(&took, 100), "ms");

    budgets.section("an interruption: first sound of it to last sound of the answer");
    let model = Model::with(json!([{"when": "story", "say": LONG_ANSWER}, {"say": ANSWER}])).await;
    let server = serving(&model)?;
    let mut talk = Talk::begin(&server.ws_url()).await?;
    let mut took = Vec::new();
    for question in QUESTIONS {
        talk.writes("Tell me a story.").await;
        talk.until_loud().await?;
        talk.listens(Duration::from_secs(2)).await?;
        let over = spoken.says("en", &format!("No, wait. {question}"));
        took.push(talk.says_over(&over).await? * 1_000.0);
        // What was said is answered.
        talk.until_loud().await?;
        talk.until_silent().await?;
    }
    budgets.figure("p50", percentile(&took, 50), "ms");
    budgets.at_most("p95", percentile(&took, 95), 200.0, "ms");
    budgets.figure("longest", percentile(&took, 100), "ms");
    Ok(())
}

/// The server, which asks this model.
fn serving(model: &Model) -> Result<Server, String> {
    Server::start(Options { config: &model.config(), ..Options::default() })
}

/// A client in a conversation: a microphone that never stops.
struct Talk {
    socket: Socket,
    ticks: Interval,
    says: VecDeque<f32>,
    /// When the newest loud piece was sent.
    spoke: Instant,
    /// When the newest loud piece came, and how many came that were not since then.
    heard: Option<Instant>,
    silent: usize,
}

impl Talk {
    async fn begin(ws_url: &str) -> Result<Self, String> {
        let url = format!("{ws_url}/v1/agent/converse");
        let mut socket = Socket::open(&url, &[]).await.map_err(|refused| refused.body.to_string())?;
        let format = json!({"encoding": "linear16", "sample_rate": HZ});
        let settings = json!({
            "type": "Settings",
            "audio": {"input": format, "output": format},
            "agent": {"think": {"provider": {"type": "open_ai", "model": "scripted"}, "prompt": "You are a clerk."}},
        });
        socket.text(&settings.to_string()).await;
        socket.until("SettingsApplied").await.map_err(|closed| closed.reason)?;
        let ticks = interval(Duration::from_millis(20));
        let spoke = Instant::now();
        Ok(Self { socket, ticks, says: VecDeque::new(), spoke, heard: None, silent: 0 })
    }

    async fn writes(&mut self, text: &str) {
        self.heard = None;
        self.socket.text(&json!({"type": "InjectUserMessage", "content": text}).to_string()).await;
    }

    /// Says all of this; when the last loud piece of it was sent.
    async fn says(&mut self, samples: &[f32]) -> Result<Instant, String> {
        self.heard = None;
        self.says.extend(samples);
        while !self.says.is_empty() {
            self.step().await?;
        }
        Ok(self.spoke)
    }

    /// Says all of this over an answer; how many seconds after its first loud piece that one's last was heard.
    async fn says_over(&mut self, samples: &[f32]) -> Result<f64, String> {
        self.says.extend(samples);
        let mut began = None;
        let before = self.spoke;
        let mut last = Instant::now();
        while !self.says.is_empty() {
            self.step().await?;
            if began.is_none() && self.spoke != before {
                began = Some(self.spoke);
            }
            if self.silent < OVER / 4 {
                last = self.heard.unwrap_or(last);
            }
        }
        let began = began.ok_or("what was said over it is silence")?;
        self.heard = None;
        Ok(last.saturating_duration_since(began).as_secs_f64())
    }

    async fn listens(&mut self, span: Duration) -> Result<(), String> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.step().await?;
        }
        Ok(())
    }

    /// When the first loud piece came since something was said.
    async fn until_loud(&mut self) -> Result<Instant, String> {
        let waiting = async {
            loop {
                if let Some(at) = self.heard {
                    return Ok(at);
                }
                self.step().await?;
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| NO_ANSWER.to_owned())?
    }

    async fn until_silent(&mut self) -> Result<(), String> {
        let mut left = Instant::now();
        while self.silent < OVER && left.elapsed() < Duration::from_millis(1_500) {
            let before = self.heard;
            self.step().await?;
            if self.heard != before {
                left = Instant::now();
            }
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), String> {
        tokio::select! {
            _ = self.ticks.tick() => {
                let count = self.says.len().min(PIECE);
                let mut piece: Vec<f32> = self.says.drain(..count).collect();
                piece.resize(PIECE, 0.0);
                if is_loud(&piece) {
                    self.spoke = Instant::now();
                }
                let bytes = linear16(&piece);
                self.socket.audio(&bytes, bytes.len()).await;
            }
            said = self.socket.message() => match said.map_err(|closed| format!("the server closed: {}", closed.reason))? {
                Said::Sound(bytes) => {
                    let (pairs, _) = bytes.as_chunks::<2>();
                    let samples: Vec<f32> = pairs.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect();
                    if is_loud(&samples) {
                        (self.heard, self.silent) = (Some(Instant::now()), 0);
                    } else {
                        self.silent += 1;
                    }
                }
                Said::Json(_) => {}
            },
        }
        Ok(())
    }
}

fn is_loud(samples: &[f32]) -> bool {
    samples.iter().any(|sample| sample.abs() > LOUD)
}
