//! The visemes of a sentence that was spoken: its words' sounds are asked for, and laid over their places.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use crate::{
    cache::Spoken,
    espeak::Phonemes,
    viseme::{self, Heard, Shape},
    voice::{Error, Language, Sentence},
};

/// What a mouth does while `spoken` is heard; nothing where nobody knows how the words sound.
pub(super) fn shapes(
    phonemes: &Phonemes,
    sentence: &Sentence,
    spoken: &Spoken,
    rate_hz: u32,
    stop: &AtomicBool,
) -> Vec<Shape> {
    let sounds = match sounds(phonemes, sentence, stop) {
        Ok(sounds) => sounds,
        Err(error) => {
            tracing::debug!(%error, "a sentence has no visemes");
            return Vec::new();
        }
    };
    let heard: Vec<Heard<'_>> = spoken
        .words
        .iter()
        .filter_map(|(index, at_sample)| {
            let language = sentence.words.get(*index)?.how.language.unwrap_or(sentence.voice.language);
            Some(Heard { ipa: sounds.get(index).map_or("", String::as_str), language, at_sample: *at_sample })
        })
        .collect();
    viseme::shapes(&heard, spoken.samples.len() as u64, rate_hz)
}

/// How each word sounds, by its place.
fn sounds(phonemes: &Phonemes, sentence: &Sentence, stop: &AtomicBool) -> Result<BTreeMap<usize, String>, Error> {
    let mut sounds = BTreeMap::new();
    let mut by_language: BTreeMap<Language, Vec<usize>> = BTreeMap::new();
    for (index, word) in sentence.words.iter().enumerate() {
        match &word.how.ipa {
            Some(ipa) => {
                sounds.insert(index, ipa.clone());
            }
            None => by_language.entry(word.how.language.unwrap_or(sentence.voice.language)).or_default().push(index),
        }
    }
    for (language, indices) in by_language {
        let texts: Vec<&str> = indices.iter().map(|index| sentence.words[*index].spoken.as_str()).collect();
        sounds.extend(indices.iter().copied().zip(phonemes.of(&texts, language, stop)?));
    }
    Ok(sounds)
}
