//! What a menu says: the words and marks of TwiML into those of [`tts`], and its samples into the mouth.

use bot::ivr::twiml::{self, Interpretation, Times};
use media::frame::MOUTH_HZ;
use tts::{
    utterance::{Emphasis, Piece, Prosody, SayAs, Sounds, Utterance},
    voice::{Language, choose},
    worker::Said,
};

use super::voice::{Mouth, NoSound};
use crate::app::App;

/// Something to say, so many times.
pub(in crate::phone) struct Speaking {
    app: App,
    utterance: Utterance,
    times: Option<u32>,
}

/// What is to be said, in the voice that is nearest to the one asked for.
pub(in crate::phone) fn speak(app: App, speech: &twiml::Speech, times: Times) -> Speaking {
    let choice = choose(speech.voice.as_deref(), speech.language.as_deref());
    if let Some(warning) = &choice.warning {
        tracing::info!(warning, "a menu asks for a voice that there is none of");
    }
    let pieces = speech.pieces.iter().map(piece).collect();
    Speaking { app, utterance: Utterance { voice: choice.voice, pieces }, times: count(times) }
}

/// How often; `None` for ever.
pub(in crate::phone) fn count(times: Times) -> Option<u32> {
    match times {
        Times::Count(count) => Some(count),
        Times::Forever => None,
    }
}

impl Speaking {
    /// Says it.
    pub(in crate::phone) async fn into(self, mouth: Mouth) -> Result<(), NoSound> {
        let Self { app, utterance, times } = self;
        let mut left = times;
        while left != Some(0) {
            left = left.map(|left| left - 1);
            let voices = app.voices().map_err(|error| NoSound::Failed(error.to_string()))?;
            let spoken = voices.speak(&utterance, MOUTH_HZ);
            let mut speech = spoken.map_err(|error| NoSound::Failed(error.to_string()))?;
            let mut heard_any = false;
            while let Some(said) = speech.next().await {
                match said {
                    Said::Samples { samples, .. } => {
                        heard_any = true;
                        mouth.say(&samples).await?;
                    }
                    Said::Failed { error, .. } => return Err(NoSound::Failed(error.to_string())),
                    Said::Word { .. } | Said::Viseme { .. } | Said::Finished { .. } | Said::Dropped { .. } => {}
                }
            }
            if !heard_any {
                // Words without a sound would be said for ever without ever waiting.
                return Ok(());
            }
        }
        Ok(())
    }
}

fn piece(piece: &twiml::Piece) -> Piece {
    let all = |within: &[twiml::Piece]| within.iter().map(self::piece).collect();
    match piece {
        twiml::Piece::Text(text) => Piece::Text(text.clone()),
        twiml::Piece::Break(pause) => Piece::Break(*pause),
        twiml::Piece::Emphasis(level, within) => {
            let level = match level {
                twiml::Emphasis::Strong => Emphasis::Strong,
                twiml::Emphasis::Moderate => Emphasis::Moderate,
                twiml::Emphasis::Reduced => Emphasis::Reduced,
                twiml::Emphasis::None => Emphasis::None,
            };
            Piece::Emphasis(level, all(within))
        }
        twiml::Piece::Prosody(prosody, within) => {
            let twiml::Prosody { rate, pitch, volume_db } = *prosody;
            // Below this nothing is heard on a telephone.
            let volume_db = if volume_db <= -60.0 { f32::NEG_INFINITY } else { volume_db.clamp(-30.0, 10.0) };
            Piece::Prosody(Prosody { rate: rate.clamp(0.3, 3.0), pitch: pitch.clamp(0.5, 2.0), volume_db }, all(within))
        }
        twiml::Piece::SayAs { how, text } => Piece::SayAs(say_as(how), text.clone()),
        twiml::Piece::Sub { alias, .. } => Piece::Sub(alias.clone()),
        twiml::Piece::Paragraph(within) => Piece::Paragraph(all(within)),
        twiml::Piece::Sentence(within) => Piece::Sentence(all(within)),
        twiml::Piece::Phoneme { alphabet, sounds, text } => {
            let sounds = if alphabet == "ipa" { Sounds::Ipa(sounds.clone()) } else { Sounds::Other };
            Piece::Phoneme { sounds, text: text.clone() }
        }
        twiml::Piece::Language(language, within) => match Language::nearest(language) {
            Some((language, _)) => Piece::Lang(language, all(within)),
            None => Piece::Sentence(all(within)),
        },
    }
}

fn say_as(how: &Interpretation) -> SayAs {
    match how {
        Interpretation::Characters => SayAs::Characters,
        Interpretation::Cardinal => SayAs::Cardinal,
        Interpretation::Ordinal => SayAs::Ordinal,
        Interpretation::Digits => SayAs::Digits,
        Interpretation::Fraction => SayAs::Fraction,
        Interpretation::Unit => SayAs::Unit,
        Interpretation::Date(format) => SayAs::parse("date", format.as_deref()).unwrap_or(SayAs::Digits),
        Interpretation::Time => SayAs::Time,
        Interpretation::Address => SayAs::Address,
        Interpretation::Telephone => SayAs::Telephone,
        Interpretation::Bleep => SayAs::Expletive,
    }
}
