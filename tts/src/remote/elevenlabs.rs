//! ElevenLabs: a WebSocket for each sentence, which tells where every letter is heard, and so every word.
//!
//! The messages are pure ([`message`]); [`ElevenLabs`] is the voice. Which language is spoken follows from the text
//! and the voice. Of SSML it is given the speed alone, within what it takes (0.7 to 1.2).

mod message;

use std::sync::atomic::AtomicBool;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    Message,
    client::IntoClientRequest as _,
    handshake::client::Request,
    http::{HeaderName, HeaderValue},
};
use url::Url;

use self::message::{Answer, Bad, Fault, Follower};
use super::{
    Net, RATE_HZ, Trouble,
    net::{Pace, one_line, until},
    sound::Sound,
};
use crate::{
    secret::Secret,
    voice::{Error, Info, Made, Sentence, Voice},
};

/// Who it is, in errors.
const PROVIDER: &str = "ElevenLabs";

/// Which server, voice and model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base of the interface: `https://api.elevenlabs.io`.
    pub url: String,
    /// The key.
    pub key: Secret,
    /// The name that the voice has for programs.
    pub voice: String,
    /// Such as `eleven_flash_v2_5`.
    pub model: String,
}

/// The voice.
pub struct ElevenLabs {
    info: Info,
    settings: Settings,
    net: Net,
}

impl ElevenLabs {
    /// The voice that `settings` describe.
    ///
    /// # Errors
    /// [`Trouble::Settings`].
    pub fn new(settings: Settings, net: Net) -> Result<Self, Error> {
        request(&settings)?;
        Ok(Self { info: Info { engine: "elevenlabs", rate_hz: RATE_HZ }, settings, net })
    }

    async fn converse(&self, sentence: &Sentence, stop: &AtomicBool, sound: &mut Sound<'_>) -> Result<(), Error> {
        let mut pace = Pace::new(Instant::now());
        let (url, request) = request(&self.settings)?;
        let mut socket = self.net.dial(PROVIDER, &url, request, stop).await?;
        let lost = |why: String| Error::from(Trouble::Broken { provider: PROVIDER, why: one_line(&why) });
        for text in [message::hello(sentence.rate()), message::text(&sentence.spoken()), message::goodbye()] {
            let by = pace.next_by(Instant::now(), 0, self.net.limits());
            let sent = until(socket.send(Message::Text(text.into())), by, stop).await;
            sent.map_err(|cut| cut.or(self.net.slow(PROVIDER, &pace)))?.map_err(|error| lost(error.to_string()))?;
        }
        let mut follower = Follower::new(sentence);
        loop {
            let by = pace.next_by(Instant::now(), sound.count(), self.net.limits());
            let came = until(socket.next(), by, stop).await.map_err(|cut| cut.or(self.net.slow(PROVIDER, &pace)))?;
            let text = match came {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) != 1000 => {
                    return Err(trouble(message::fault(&frame.reason), frame.code.into()));
                }
                // It says that it is done by a last message, or by closing after the sound.
                None | Some(Ok(Message::Close(_))) if sound.count() > 0 => return Ok(()),
                None | Some(Ok(Message::Close(_))) => return Err(lost("it hangs up without a word".to_owned())),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(lost(error.to_string())),
            };
            let answer = Answer::read(&text).map_err(|bad| match bad {
                Bad::Refused(name) => trouble(message::fault(&name), 1008),
                Bad::Unreadable => lost("its answer cannot be read".to_owned()),
            })?;
            let before = sound.count();
            for (letter, ms) in &answer.letters {
                for word in follower.on(letter) {
                    sound.word(word, before + ms * u64::from(RATE_HZ) / 1_000);
                }
            }
            sound.hear(&answer.sound)?;
            pace.heard(Instant::now(), sound.count());
            if answer.is_final {
                return Ok(());
            }
        }
    }
}

impl Voice for ElevenLabs {
    fn info(&self) -> &Info {
        &self.info
    }

    /// What it says costs money, so it is not tried.
    fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    fn speak(&self, sentence: &Sentence, stop: &AtomicBool, made: &mut dyn FnMut(Made<'_>)) -> Result<(), Error> {
        sentence.check()?;
        if super::is_silent(sentence) {
            return Ok(());
        }
        let mut sound = Sound::new(PROVIDER, sentence, made);
        self.net.block_on(self.converse(sentence, stop, &mut sound))?;
        sound.finish()
    }
}

/// What kind of trouble a refusal is.
fn trouble(fault: Fault, status: u16) -> Error {
    let provider = PROVIDER;
    match fault {
        Fault::Key => Trouble::Key { provider, status },
        Fault::Busy => Trouble::Busy { provider, status, retry_after_s: None },
        Fault::Asked => Trouble::Asked { provider, status },
        Fault::Theirs => Trouble::Broken { provider, why: format!("it refuses ({status})") },
    }
    .into()
}

/// Where the socket is, and the request that opens it.
fn request(settings: &Settings) -> Result<(Url, Request), Error> {
    let wrong = |why: &str| Error::from(Trouble::Settings { provider: PROVIDER, why: why.to_owned() });
    let mut url = super::web_address(PROVIDER, &settings.url)?;
    if settings.voice.is_empty() {
        return Err(wrong("it needs a voice"));
    }
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| wrong("its URL is none of http or https"))?;
    url.path_segments_mut().map_err(|()| wrong("its URL has no path"))?.pop_if_empty().extend([
        "v1",
        "text-to-speech",
        settings.voice.as_str(),
        "stream-input",
    ]);
    url.query_pairs_mut()
        .append_pair("model_id", &settings.model)
        .append_pair("output_format", "pcm_24000")
        .append_pair("sync_alignment", "true");
    let mut request = url.as_str().into_client_request().map_err(|_| wrong("its URL is none"))?;
    let mut key =
        HeaderValue::from_str(settings.key.reveal()).map_err(|_| wrong("the key cannot stand in a header"))?;
    key.set_sensitive(true);
    request.headers_mut().insert(HeaderName::from_static("xi-api-key"), key);
    Ok((url, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_reference_says() {
        let settings = Settings {
            url: "https://api.elevenlabs.io/".to_owned(),
            key: Secret::new("secret"),
            voice: "a/b".to_owned(),
            model: "eleven_flash_v2_5".to_owned(),
        };
        let (url, request) = request(&settings).unwrap();
        assert_eq!(
            url.as_str(),
            "wss://api.elevenlabs.io/v1/text-to-speech/a%2Fb/stream-input\
             ?model_id=eleven_flash_v2_5&output_format=pcm_24000&sync_alignment=true"
        );
        assert_eq!(request.headers()["xi-api-key"], "secret");
        assert!(!format!("{settings:?} {:?}", request.headers()).contains("secret"));
        assert!(super::request(&Settings { voice: String::new(), ..settings.clone() }).is_err());
        assert!(super::request(&Settings { key: Secret::new("a\nb"), ..settings }).is_err());
    }
}
