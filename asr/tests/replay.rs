//! What the ears took in is heard again from its journal, to the same events.

mod fixture;

use std::{collections::BTreeMap, fs::File, sync::Arc, thread, time::Instant};

use asr::{
    diarize::{Diarization, Speech, live},
    event::Event,
    moonshine::Moonshine,
    onnx::Library,
    pool::{
        Ears, Options, Senses, StreamConfig,
        journal::{Opened, Step},
        replay::Stream,
    },
    recognizer::Recognizer,
    turn,
    vad::silero::Silero,
};
use media::journal::{FILE_NAME, Journal, Kind, Reader};

#[test]
fn streams_heard_at_once_are_heard_again_to_the_same_events() {
    let Some((library, silero, moonshine)) = models() else { return };
    let names = ["speech/jfk.wav", "speech/sense_and_sensibility_01_austen_64kb-0880.wav", "meetings/meeting3.wav"];
    let Some(sounds) = names.iter().map(|name| fixture::speech(name)).collect::<Option<Vec<_>>>() else { return };
    let folder = tempfile::TempDir::new().expect("a folder");
    let journal = Journal::create(&folder.path().join("r1"), now()).expect("a journal");
    let options = Options { workers: 2, streams_max: 8 };
    // Without the model the streams ask for nothing, and are heard again all the same.
    let turn = fixture::smart_turn().map(|(library, model)| turn::Model::load(&library, &model).expect("a model"));
    let voices = fixture::voices().map(|(library, segmentation, voice)| {
        live::Models::load(&library, Speech::Segmentation(&segmentation), &voice).expect("models")
    });
    let senses = Senses { turn, voices: voices.ok_or_else(|| "they are not here".to_owned()) };
    let ears = Ears::start_with(Arc::new(moonshine), silero(), senses, options).expect("the ears start");

    let (mut speaking, mut hearing) = (Vec::new(), Vec::new());
    for (index, sound) in sounds.into_iter().enumerate() {
        let turn_after_ms = (index != 2).then_some(200);
        let diarization = (index != 0).then(Diarization::default);
        let config = StreamConfig {
            live: index != 1,
            partials: index != 2,
            turn_after_ms,
            diarization,
            ..StreamConfig::default()
        };
        let (mut input, mut events) = ears.open_noted(config, Some(&journal)).expect("a place");
        let track = events.track().expect("a noted stream has a track");
        // At some forty times the speed of speech, in pieces that fit no window.
        speaking.push(thread::spawn(move || {
            let sound = &sound[..sound.len().min(20 * 16_000)];
            for (count, piece) in sound.chunks(700).enumerate() {
                input.push_blocking(piece).expect("the stream is open");
                if count % 100 == 99 {
                    input.finalize();
                }
                thread::park_timeout(std::time::Duration::from_millis(1));
            }
        }));
        let all = move || (track, std::iter::from_fn(|| events.next_blocking()).collect::<Vec<_>>());
        hearing.push(thread::spawn(all));
    }
    speaking.into_iter().for_each(|thread| thread.join().expect("no speaker panics"));
    let heard: Vec<_> = hearing.into_iter().map(|thread| thread.join().expect("no reader panics")).collect();
    assert!(journal.is_complete());
    drop(journal);

    let again = hear_again(&folder.path().join("r1").join(FILE_NAME), &library, silero());
    for (track, live) in heard {
        let again = &again[&track];
        assert!(live.iter().any(|event| matches!(event, Event::Final { words, .. } if words.len() > 3)), "{live:?}");
        assert_eq!(without_partials(&live), without_partials(again), "track {track}");
        // A reader may miss partials that newer ones replaced; what it saw must come again in the same order.
        let mut rest = again.iter();
        for event in &live {
            assert!(rest.any(|known| known == event), "track {track}: not heard again: {event:?}");
        }
    }
}

fn without_partials(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| !matches!(event, Event::Partial { .. })).collect()
}

fn hear_again(path: &std::path::Path, library: &Library, mut silero: Silero) -> BTreeMap<u32, Vec<Event>> {
    let mut decoder = moonshine(library).expect("it loaded before").decoder().expect("a decoder");
    let mut streams: BTreeMap<u32, (Stream, Vec<Event>)> = BTreeMap::new();
    // The journal's thread writes the end when the last handle is gone, a moment later.
    let mut reader = loop {
        let mut reader = Reader::open(File::open(path).expect("the journal")).expect("a journal");
        while reader.record().expect("an undamaged journal").is_some() {}
        if !reader.was_cut() {
            break Reader::open(File::open(path).expect("the journal")).expect("a journal");
        }
        thread::yield_now();
    };
    while let Some(record) = reader.record().expect("an undamaged journal") {
        if record.kind == Kind::EarsOpened {
            let opened = Opened::read(&record).expect("a whole record");
            assert_eq!((opened.engine.as_str(), opened.model.as_str()), ("moonshine", "moonshine-tiny-en"));
            streams.insert(record.track, (Stream::new(opened, now()), Vec::new()));
        } else if let Some(step) = Step::read(&record).expect("a whole record") {
            let (stream, events) = streams.get_mut(&record.track).expect("opened before");
            events.extend(stream.step(step, &mut silero, decoder.as_mut()).expect("the same steps can be taken"));
        }
    }
    streams.into_iter().map(|(track, (_, events))| (track, events)).collect()
}

fn models() -> Option<(Library, impl Fn() -> Silero, Moonshine)> {
    let (library, model) = fixture::silero()?;
    let of_silero = library.clone();
    let silero = move || Silero::load(&of_silero, &model).expect("the model is whole");
    let moonshine = moonshine(&library)?;
    Some((library, silero, moonshine))
}

fn moonshine(library: &Library) -> Option<Moonshine> {
    let (_, folder) = fixture::moonshine()?;
    Some(Moonshine::load(library, &folder).expect("the model is whole"))
}

#[expect(clippy::disallowed_methods, reason = "a call begins at some moment")]
fn now() -> Instant {
    Instant::now()
}
