//! A mouth that speaks with a voice that makes what is expected, and fails where it is told to.

use tts::{fake::Fake, voice::VoiceId, worker::Options};

use super::*;
use crate::{app::App, auth::keys::KeyRing, config::Config, engine::NoEars};

#[test]
fn keys_keep_the_order_in_which_sentences_are_said() {
    let said = [(0, 0), (1, 0), (1, 1), (1, 9_999_999_999), (2, 0), (70_000, 3)];
    let keys: Vec<u64> = said.iter().map(|(turn, number)| Sentence::new(*turn, *number).key()).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
    assert!(Sentence::last_of(1) < Sentence::new(2, 0).key());
    assert_eq!(Sentence::of_key(Sentence::new(7, 12).key()), Sentence::new(7, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_told_as_it_is_heard_and_a_voice_that_fails_is_told_at_once() {
    let mut talk = Talking::new().await;
    let (first, second) = (Sentence::new(1, 1), Sentence::new(1, 2));
    talk.say(first, "one two three four five");
    talk.say(second, "fail");
    let heard = talk.until(|heard| *heard == Heard::Played(first)).await;
    let of_first: Vec<&Heard> = heard.iter().filter(|heard| !matches!(heard, Heard::NotSpoken(..))).collect();
    assert_eq!(of_first[..2], [&Heard::Made(first), &Heard::Began(first)]);
    let words: Vec<usize> =
        heard.iter().filter_map(|heard| if let Heard::Words(_, words) = heard { Some(*words) } else { None }).collect();
    assert!(words.is_sorted() && words.last() == Some(&4), "{words:?}: the fifth is over with the sentence");
    let failed = |heard: &&Heard| matches!(heard, Heard::NotSpoken(of, _) if *of == second);
    assert_eq!(heard.iter().filter(failed).count(), 1, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hush_nothing_of_the_turn_is_told_and_the_next_one_is_heard_also_out_of_a_pause() {
    let mut talk = Talking::new().await;
    let (old, new) = (Sentence::new(1, 1), Sentence::new(2, 2));
    talk.say(old, &"word ".repeat(40));
    talk.until(|heard| matches!(heard, Heard::Words(..))).await;
    talk.mouth.pause();
    talk.mouth.hush(1);
    talk.say(old, "too late");
    talk.say(new, "now this");
    let heard = talk.until(|heard| *heard == Heard::Played(new)).await;
    assert!(heard.contains(&Heard::Began(new)), "{heard:?}");
    assert!(heard.iter().all(|heard| !matches!(heard, Heard::Played(of) | Heard::Began(of) if *of == old)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_what_is_said_and_nothing_of_it_is_lost() {
    let mut talk = Talking::new().await;
    let sentence = Sentence::new(1, 1);
    talk.say(sentence, "one two three four five six");
    talk.until(|heard| *heard == Heard::Began(sentence)).await;
    talk.mouth.pause();
    let held = tokio::time::timeout(Duration::from_millis(1_500), async {
        talk.until(|heard| *heard == Heard::Played(sentence)).await
    });
    assert!(held.await.is_err(), "it lasts 750 ms, and is held still");
    talk.mouth.resume();
    let heard = talk.until(|heard| *heard == Heard::Played(sentence)).await;
    assert!(heard.contains(&Heard::Words(sentence, 5)), "{heard:?}");
}

/// A mouth in a room of its own, with a voice whose words last 100 ms.
struct Talking {
    mouth: Mouth,
    _voices: Voices,
    _app: App,
    _data: tempfile::TempDir,
}

impl Talking {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let keys = KeyRing::load(data.path(), &[]).unwrap();
        let app = App::new(Config::default(), Err(NoEars(String::new())), keys).unwrap();
        let room = app.open_room("").unwrap();
        let voices = Voices::start(Arc::new(Fake::default()), Options::default()).unwrap();
        let mouth = Mouth::enter(&app.sound(&room), &voices).await.unwrap();
        Self { mouth, _voices: voices, _app: app, _data: data }
    }

    fn say(&mut self, sentence: Sentence, text: &str) {
        self.mouth.say(sentence, text, Utterance::plain(VoiceId::default(), text));
    }

    /// What is told until this is, which is the last of it.
    async fn until(&mut self, is_it: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let mut all = Vec::new();
        let hearing = async {
            loop {
                let (_, heard) = self.mouth.next().await.expect("the engine runs");
                let is_last = is_it(&heard);
                all.push(heard);
                if is_last {
                    break;
                }
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(20), hearing).await;
        assert!(came.is_ok(), "only this was told: {all:?}");
        all
    }
}
