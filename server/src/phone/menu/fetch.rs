//! Documents, files and callbacks of one menu: from the network, from a folder, or from the server itself.
//!
//! The network is asked through [`crate::webhook`], which keeps everybody's documents out of this server's own network
//! unless the configuration trusts where they come from. A `file` address is read only below the folder of the file
//! that the configuration names; a document from the network cannot name a file at all. What is asked is asked in a
//! task of its own, and the answer goes to the machine; at most [`NOTIFYING`] callbacks of one menu are under way,
//! and more are dropped and counted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bot::{
    ivr::{
        call::{ProgressEvents, StatusCallback},
        input::Input,
        machine::Source,
        webhook::{Endpoint, Fetch, FetchError, Method, Notify, Page, Params},
    },
    routing::{self, Ivr, Script},
};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use url::Url;

use super::{Application, conference::Notifier};
use crate::{
    app::App,
    webhook::{self, Cookies, SocketRequest, WebhookError, signature::AuthToken, target::Origin},
};

/// Callbacks of one menu that are under way at once.
const NOTIFYING: usize = 16;

/// The largest file that is played: an hour of compressed speech.
const SOUND_BYTES_MAX: usize = 32 << 20;

/// The largest document in a folder; documents from the network have the same limit.
const DOCUMENT_BYTES_MAX: u64 = webhook::DOCUMENT_BYTES_MAX as u64;

/// What the documents of an application may reach beside the public network.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// The server that the configuration named: it may lie in our own network.
    trusts: Option<Origin>,
    /// The folder of the file that the configuration named.
    folder: Option<Arc<Path>>,
    /// What servers let us remember during the call.
    cookies: Cookies,
}

/// Why a configured application cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadApplication {
    /// No URL.
    #[error("{0:?} is no URL")]
    Url(String),
    /// No file.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// The application of a number.
pub(super) fn application(ivr: &Ivr) -> Result<Application, BadApplication> {
    let method = match ivr.method {
        routing::Method::Get => Method::Get,
        routing::Method::Post => Method::Post,
    };
    let endpoint = |text: &str| {
        let url = Url::parse(text).map_err(|_| BadApplication::Url(text.to_owned()))?;
        Ok(Endpoint { url, method })
    };
    let (url, folder) = match &ivr.script {
        Script::Sample => (Url::parse(SAMPLE_URL).map_err(|_| BadApplication::Url(SAMPLE_URL.to_owned()))?, None),
        Script::Url(text) => (endpoint(text)?.url, None),
        Script::File(path) => {
            let whole = path.canonicalize().map_err(|error| BadApplication::File { path: path.clone(), error })?;
            let url = Url::from_file_path(&whole).map_err(|()| BadApplication::Url(whole.display().to_string()))?;
            (url, whole.parent().map(Arc::from))
        }
    };
    let reach = Reach { trusts: Origin::of(url.as_str()).ok(), folder, cookies: Cookies::default() };
    let status = ivr.status_callback.as_deref().map(endpoint).transpose()?;
    Ok(Application {
        source: Source::At(Endpoint { url, method }),
        fallback: ivr.fallback.as_deref().map(endpoint).transpose()?,
        status: status.map(|to| StatusCallback { to, events: ProgressEvents::END }),
        reach,
    })
}

impl Reach {
    /// Of documents that whoever runs this server named: its API, its command line.
    pub(crate) fn of(url: &str) -> Self {
        Self { trusts: Origin::of(url).ok(), folder: None, cookies: Cookies::default() }
    }
}

/// Asks for one menu.
#[derive(Clone)]
pub(super) struct Desk {
    app: App,
    reach: Reach,
    told: mpsc::Sender<Input>,
    notifying: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(app: &App, reach: Reach, told: mpsc::Sender<Input>) -> Self {
        Self { app: app.clone(), reach, told, notifying: Arc::new(Semaphore::new(NOTIFYING)) }
    }

    /// What its documents may reach.
    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Asks for a document; the machine is told.
    pub(super) fn fetch(&self, fetch: Fetch) {
        let (app, reach, told) = (self.app.clone(), self.reach.clone(), self.told.clone());
        tokio::spawn(async move {
            let result = match fetch.to.url.scheme() {
                "file" => read(&reach, &fetch.to.url).await,
                _ => ask(&app, &reach, &fetch.to, &fetch.params, fetch.timeout).await,
            };
            let _ = told.send(Input::Fetched { id: fetch.id, result }).await;
        });
    }

    /// Asks for a document; whoever asks is given it.
    pub(super) fn page(
        &self,
        to: Endpoint,
        params: Params,
    ) -> impl Future<Output = Result<Page, FetchError>> + Send + use<> {
        let (app, reach) = (self.app.clone(), self.reach.clone());
        async move { ask(&app, &reach, &to, &params, webhook::TIMEOUT).await }
    }

    /// Tells an application something; nobody waits for its answer.
    pub(super) fn notify(&self, notify: Notify) {
        (self.notifier())(notify);
    }

    /// The same for somebody who outlives the menu.
    pub(super) fn notifier(&self) -> Notifier {
        let (app, reach, notifying) = (self.app.clone(), self.reach.clone(), self.notifying.clone());
        Arc::new(move |notify: Notify| {
            let Ok(place) = notifying.clone().try_acquire_owned() else {
                metrics::counter!("harmony_drops_total", "crossing" => "callbacks").increment(1);
                return;
            };
            let (app, reach) = (app.clone(), reach.clone());
            tokio::spawn(async move {
                let asked = ask(&app, &reach, &notify.to, &notify.params, webhook::TIMEOUT).await;
                if let Err(error) = asked {
                    tracing::info!(host = notify.to.url.host_str(), %error, "a callback was not taken");
                }
                drop(place);
            });
        })
    }

    /// Opens a WebSocket to a bot.
    pub(super) fn socket(
        &self,
        url: &Url,
        within: std::time::Duration,
    ) -> impl Future<Output = Result<WebSocketStream<webhook::Stream>, WebhookError>> + Send + use<> {
        let app = self.app.clone();
        let request = SocketRequest {
            url: url.to_string(),
            trusts: self.reach.trusts.clone(),
            token: app.config().twilio.auth_token.clone().map(AuthToken::new),
            timeout: within,
        };
        async move { app.webhooks().dial_socket(&request).await }
    }

    /// The bytes of a file that is to be played, or what is wrong with it.
    pub(super) fn file(&self, url: Url) -> impl Future<Output = Result<Bytes, String>> + Send + use<> {
        let (app, reach) = (self.app.clone(), self.reach.clone());
        async move {
            if url.scheme() == "file" {
                let path = below(&reach, &url).await.ok_or("that file does not belong to the application")?;
                let bytes = read_at_most(path, SOUND_BYTES_MAX as u64).await;
                return bytes.map(Bytes::from).map_err(|error| format!("the file cannot be read: {error}"));
            }
            let mut request = webhook::Request::new(webhook::Method::Get, url, Vec::new());
            request.trusts = reach.trusts;
            request.cookies = Some(reach.cookies);
            request.bytes_max = SOUND_BYTES_MAX;
            let answer = app.webhooks().send(&request).await.map_err(|error| error.to_string())?;
            Ok(answer.body)
        }
    }
}

/// Tells an application something that whoever runs this server named; returns when it was taken or was not.
pub(crate) async fn tell(app: &App, notify: &Notify) {
    let reach = Reach::of(notify.to.url.as_str());
    if let Err(error) = ask(app, &reach, &notify.to, &notify.params, webhook::TIMEOUT).await {
        tracing::info!(host = notify.to.url.host_str(), %error, "a callback was not taken");
    }
}

async fn ask(
    app: &App,
    reach: &Reach,
    to: &Endpoint,
    params: &Params,
    timeout: std::time::Duration,
) -> Result<Page, FetchError> {
    let method = match to.method {
        Method::Get => webhook::Method::Get,
        Method::Post => webhook::Method::Post,
    };
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut request = webhook::Request::new(method, to.url.clone(), params);
    request.trusts = reach.trusts.clone();
    request.cookies = Some(reach.cookies.clone());
    request.token = app.config().twilio.auth_token.clone().map(AuthToken::new);
    request.timeout = timeout;
    match app.webhooks().send(&request).await {
        Ok(answer) => Ok(Page {
            url: Url::parse(&answer.url).unwrap_or_else(|_| to.url.clone()),
            status: answer.status,
            content_type: answer.content_type.unwrap_or_default(),
            body: answer.body.to_vec(),
        }),
        // A refusal is an answer: the machine asks the fallback and says which status it was.
        Err(WebhookError::Status { status, .. }) => {
            Ok(Page { url: to.url.clone(), status, content_type: String::new(), body: Vec::new() })
        }
        Err(error) => Err(fetch_error(&error)),
    }
}

fn fetch_error(error: &WebhookError) -> FetchError {
    match error {
        WebhookError::Url(_) | WebhookError::Name { .. } => FetchError::UnknownHost,
        WebhookError::Refused { .. } => FetchError::Forbidden,
        WebhookError::Connect { .. } => FetchError::Connection,
        WebhookError::Tls { .. } => FetchError::Tls,
        WebhookError::Protocol { .. } | WebhookError::Status { .. } => FetchError::Protocol,
        WebhookError::Timeout { .. } | WebhookError::Full => FetchError::Timeout,
        WebhookError::TooLarge { .. } => FetchError::TooLarge,
        WebhookError::Redirects { .. } => FetchError::TooManyRedirects,
    }
}

/// A document of this machine.
async fn read(reach: &Reach, url: &Url) -> Result<Page, FetchError> {
    let page = |body: Vec<u8>| Page { url: url.clone(), status: 200, content_type: "text/xml".to_owned(), body };
    if let Some(sample) = sample(url) {
        return Ok(page(sample.as_bytes().to_vec()));
    }
    let path = below(reach, url).await.ok_or(FetchError::NoSuchFile)?;
    read_at_most(path, DOCUMENT_BYTES_MAX).await.map(page).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => FetchError::TooLarge,
        _ => FetchError::NoSuchFile,
    })
}

async fn read_at_most(path: PathBuf, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let metadata = tokio::fs::metadata(&path).await?;
    if metadata.len() > bytes_max {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    tokio::fs::read(path).await
}

/// The path of a `file` address, if it lies in the application's folder once links are followed.
async fn below(reach: &Reach, url: &Url) -> Option<PathBuf> {
    let folder = reach.folder.as_deref()?;
    let path = tokio::fs::canonicalize(url.to_file_path().ok()?).await.ok()?;
    path.starts_with(folder).then_some(path)
}

/// A document of the sample that comes with the server.
fn sample(url: &Url) -> Option<&'static str> {
    if url.host_str() != Some(SAMPLE_HOST) {
        return None;
    }
    let name = url.path().trim_start_matches('/');
    SAMPLE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Where the sample begins.
const SAMPLE_URL: &str = "file://sample/welcome.xml";
const SAMPLE_HOST: &str = "sample";

/// A document of `examples/office`, with its name.
macro_rules! office {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/office/", $name)))
    };
}

/// The sample: a bilingual office. In the binary, so that `sip:ivr@…` answers wherever it is started.
const SAMPLE: &[(&str, &str)] = &[
    office!("de/appointment-left.xml"),
    office!("de/appointment.xml"),
    office!("de/chosen.xml"),
    office!("de/hours.xml"),
    office!("de/menu.xml"),
    office!("de/transfer.xml"),
    office!("de/transferred.xml"),
    office!("de/voicemail-left.xml"),
    office!("de/voicemail.xml"),
    office!("en/appointment-left.xml"),
    office!("en/appointment.xml"),
    office!("en/chosen.xml"),
    office!("en/hours.xml"),
    office!("en/menu.xml"),
    office!("en/transfer.xml"),
    office!("en/transferred.xml"),
    office!("en/voicemail-left.xml"),
    office!("en/voicemail.xml"),
    office!("language.xml"),
    office!("welcome.xml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sample_answers_with_all_its_documents() {
        let nowhere = Reach::of(SAMPLE_URL);
        for (name, text) in SAMPLE {
            let url = Url::parse(SAMPLE_URL).unwrap().join(name).unwrap();
            assert_eq!(read(&nowhere, &url).await.unwrap().body, text.as_bytes(), "{name}");
        }
        assert!(SAMPLE.iter().any(|(name, _)| SAMPLE_URL.ends_with(name)));
        assert!(read(&nowhere, &Url::parse("file://sample/../../etc/passwd").unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn files_are_read_below_the_applications_folder_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("app");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(inside.join("menu.xml"), "<Response/>").unwrap();
        std::fs::write(inside.join("sub/more.xml"), "<Response/>").unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inside.join("link.xml")).unwrap();
        let ivr = |path: PathBuf| Ivr {
            script: Script::File(path),
            method: routing::Method::Post,
            fallback: None,
            status_callback: None,
        };
        let application = application(&ivr(inside.join("menu.xml"))).unwrap();
        let Source::At(first) = &application.source else { panic!("{:?}", application.source) };
        let reach = &application.reach;
        assert!(below(reach, &first.url).await.is_some());
        assert!(below(reach, &first.url.join("sub/more.xml").unwrap()).await.is_some());
        for outside in ["../secret", "link.xml", "/etc/passwd", "nothing.xml", "../app2/menu.xml"] {
            assert_eq!(below(reach, &first.url.join(outside).unwrap()).await, None, "{outside}");
        }
        // A document from the network has no folder.
        let network = Reach::of("https://apps.example.com/menu");
        assert_eq!(below(&network, &first.url).await, None);
        assert!(super::application(&ivr(inside.join("nothing.xml"))).is_err());
    }
}
