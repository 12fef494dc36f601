//! Announcements: what a document says, to everybody in a conference's room or to one of them alone.
//!
//! Each is a task of its own. It asks for the document, takes out of it what may be in one (`Say`, `Play`, `Pause`; a sound
//! may be there in its place), and says that with a voice that is a leg of the room. So many at once as the conference has
//! places for, then whoever asks is refused. One ends with its conference, or after [`LONGEST`]. Whoever asked was answered
//! when it began: what was wrong with the document stands in the log.

use std::{sync::Arc, time::Duration};

use bot::ivr::{
    effect::SoundId,
    twiml::{self, Limits, Play, Say, Sound, Verb},
    webhook::{Endpoint, FetchError, Page, Params},
};
use media::bridge::{BridgeError, LegId};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    app::App,
    phone::menu::{
        fetch::{Desk, Reach},
        speech::{count, speak},
        voice::{self, NoSound, Voice},
    },
    sound::RoomSound,
};

/// The longest announcement: who plays for ever plays so long.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// One that is to be made.
pub(super) struct Announcement {
    pub(super) app: App,
    /// Where its document is.
    pub(super) to: Endpoint,
    /// What its application is told.
    pub(super) params: Params,
    /// Where it is heard.
    pub(super) sound: Arc<RoomSound>,
    /// By whom alone.
    pub(super) heard_by: Option<LegId>,
    /// The conference is.
    pub(super) over: CancellationToken,
    /// Its place among those of the conference, until it has ended.
    pub(super) place: OwnedSemaphorePermit,
}

/// Why one was not made.
#[derive(Debug, thiserror::Error)]
enum NoAnnouncement {
    /// The application's, or the network's.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The application's: it refused.
    #[error("its address answers with status {0}")]
    Status(u16),
    /// The application's.
    #[error(transparent)]
    Document(#[from] twiml::DocumentError),
    /// The application's.
    #[error("an announcement says, plays and pauses, and nothing else: its document has {0}")]
    Verb(String),
    /// The application's.
    #[error("it plays something that is at no address of http or https")]
    Address,
    /// Ours.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
}

impl Announcement {
    /// Makes it.
    pub(super) async fn run(self) {
        let Self { app, to, params, sound, heard_by, over, place } = self;
        let made = tokio::select! {
            made = tokio::time::timeout(LONGEST, make(&app, to, params, &sound, heard_by)) => made,
            () = over.cancelled() => return,
        };
        match made {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an announcement to a conference was not made"),
            Err(_) => tracing::info!("an announcement to a conference was ended: it was too long"),
        }
        drop(place);
    }
}

async fn make(
    app: &App,
    to: Endpoint,
    params: Params,
    sound: &RoomSound,
    heard_by: Option<LegId>,
) -> Result<(), NoAnnouncement> {
    // Nobody's menu: there is nobody to be told what came.
    let (told, _) = mpsc::channel(1);
    let desk = Desk::new(app, Reach::of(to.url.as_str()), told);
    let url = to.url.clone();
    let parts = match desk.page(to, params).await {
        Ok(page) => parts(&page)?,
        // Too long for a document: a sound, if it is anything.
        Err(FetchError::TooLarge) => vec![Part::File(url, Some(1))],
        Err(error) => return Err(error.into()),
    };
    let mut says = Voice::enter_for(sound, heard_by).await?;
    for (number, part) in (0..).zip(parts) {
        let id = SoundId(number);
        match part {
            Part::Words(say) => {
                let speaking = speak(app.clone(), &say.speech, say.times);
                says.begin(id, |mouth| speaking.into(mouth));
            }
            Part::File(url, times) => {
                let getting = desk.file(url);
                says.begin(id, |mouth| async move {
                    let bytes = getting.await.map_err(NoSound::Failed)?;
                    voice::file(mouth, bytes, times).await
                });
            }
            Part::Pause(length) => says.begin(id, |mouth| voice::silence(mouth, length)),
        }
        // What could not be made stands in the log, and what follows is said all the same.
        says.next().await;
    }
    Ok(())
}

/// A part of an announcement.
#[derive(Debug, PartialEq)]
enum Part {
    Words(Say),
    /// So many times; `None` for ever.
    File(Url, Option<u32>),
    Pause(Duration),
}

/// What an application's answer says.
fn parts(page: &Page) -> Result<Vec<Part>, NoAnnouncement> {
    if !(200..300).contains(&page.status) {
        return Err(NoAnnouncement::Status(page.status));
    }
    if page.content_type.trim_start().to_ascii_lowercase().starts_with("audio/") {
        return Ok(vec![Part::File(page.url.clone(), Some(1))]);
    }
    let document = twiml::parse(&page.body, Limits::default())?;
    let parts = document.steps.into_iter().map(|step| match step.verb {
        Verb::Say(say) => Ok(Part::Words(say)),
        Verb::Play(Play { sound: Sound::File(file), times }) => {
            let url = page.url.join(&file.0).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            Ok(Part::File(url.ok_or(NoAnnouncement::Address)?, count(times)))
        }
        Verb::Pause(length) => Ok(Part::Pause(length)),
        other => Err(NoAnnouncement::Verb(other.name().to_owned())),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, content_type: &str, body: &str) -> Page {
        let url = Url::parse("https://app.example/news/today.xml").unwrap();
        Page { url, status, content_type: content_type.to_owned(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn an_announcement_says_plays_and_pauses_in_order_and_does_nothing_else() {
        let body = "<Response><Say>Guten Morgen</Say><Pause length=\"2\"/><Play loop=\"3\">gong.wav</Play></Response>";
        let all = parts(&page(200, "text/xml", body)).unwrap();
        let gong = Url::parse("https://app.example/news/gong.wav").unwrap();
        assert!(matches!(&all[..], [Part::Words(_), Part::Pause(pause), Part::File(url, Some(3))]
            if *pause == Duration::from_secs(2) && *url == gong));
        let sound = parts(&page(200, "audio/mpeg", "ID3")).unwrap();
        assert!(matches!(&sound[..], [Part::File(url, Some(1))] if url.path() == "/news/today.xml"));
        assert!(parts(&page(200, "text/xml", "<Response/>")).unwrap().is_empty());
        for (status, body) in [
            (404, "<Response/>"),
            (200, "<Response><Dial>+4930</Dial></Response>"),
            (200, "<Response><Say>one</Say><Hangup/></Response>"),
            (200, "<Response><Play digits=\"1\"/></Response>"),
            (200, "<Response><Play>file:///etc/passwd</Play></Response>"),
            (200, "<Response><Say>one</Response>"),
            (200, "no document"),
        ] {
            assert!(parts(&page(status, "text/xml", body)).is_err(), "{status} {body}");
        }
    }
}
