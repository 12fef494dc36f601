//! How well Moonshine hears whole recordings: words wrong per word said, offline, without the streaming.

use tests::{
    fixture::{recording, wav_16k},
    listening::Sound,
    transcriber::Transcriber,
    wer::{Errors, plain_words},
};

const JFK: &str =
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country";

/// The opening of A Tale of Two Cities, as it is read.
const TWO_CITIES: &str = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the \
    age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it \
    was the season of darkness, it was the spring of hope, it was the winter of despair, we had everything before \
    us, we had nothing before us, we were all going direct to heaven, we were all going direct the other way; in \
    short, the period was so far like the present period that some of its noisiest authorities insisted on its being \
    received, for good or for evil, in the superlative degree of comparison only.";

#[test]
fn moonshine_hears_read_speech_nearly_word_for_word() {
    let mut transcriber = match Transcriber::load() {
        Ok(transcriber) => transcriber,
        Err(why) => return println!("{why}"),
    };

    let austen = "audio/speech/sense_and_sensibility_01_austen_64kb-";
    let (mut words, mut wrong) = (0, 0);
    for (name, said) in [
        ("audio/speech/jfk".to_owned(), Some(JFK)),
        ("audio/speech/two_cities_16k".to_owned(), Some(TWO_CITIES)),
        (format!("{austen}0870"), None),
        (format!("{austen}0880"), None),
    ] {
        let path = match recording(&format!("{name}.wav")) {
            Ok(path) => path,
            Err(why) => return println!("{why}"),
        };
        let said =
            said.map_or_else(|| std::fs::read_to_string(path.with_extension("txt")).expect("a text"), str::to_owned);
        // The text beside the recording spells out what everybody writes short.
        let audio = wav_16k(&path);
        let heard = transcriber.text(Sound { samples: &audio, rate_hz: 16_000 }).replace("Mr.", "mister");
        let errors = Errors::between(&said, &heard);
        let count = plain_words(&said).len();
        println!("{name}: WER {:.1} % of {count} words, {errors:?}", 100.0 * errors.total() as f64 / count as f64);
        println!("    {heard}");
        (words, wrong) = (words + count, wrong + errors.total());
    }
    let rate = wrong as f64 / words as f64;
    println!("all: WER {:.1} % of {words} words", 100.0 * rate);
    assert!(rate < 0.1, "{rate}");
}
