//! The telephone page of the console: a real Chromium handles the calls of real telephones on the real server.
//!
//! Everything is done by the page's own fields and buttons, and what came of it is asked of the far end: baresip, which
//! hears keys and speaks, and sipp, which takes only what its scenario says. Skipped where one of them is absent.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tests::{
    baresip::{self, Baresip},
    calls::Calls,
    chromium::{self, Chromium},
    console_page::{Person, SOON, artifact, browser_or_skip, microphone, open_room},
    fixture,
    server::{self, Server},
    sipp::{self, Sipp, free_port},
};

/// Sipp sends no sound.
const CONFIG: &str = "[rtp]\ntimeout_s = 0\n[[numbers]]\nnumber = \"8?\"\nto = \"conference:{dialled}\"\n\
                      [[numbers]]\nnumber = \"ring\"\nto = \"ring\"\n";

const TRUSTED: &str = "trusted = [\"127.0.0.1\"]";

/// A name that would be an element if anybody took it for more than words, and would turn what follows it.
const HOSTILE: &str = "<img src=x onerror=window.harmed=1>\u{202e}";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_is_seen_as_it_is_and_ended_from_the_page() {
    let Some(browser) = parts() else { return };
    let server = start(CONFIG);
    let mut page = telephone(&server, &browser, "en-US").await;
    page.wait_for("!document.querySelector('#calls-live-empty').hidden", SOON).await;
    let keys = [("name", HOSTILE), ("caller", "%3Cb%3Ebob")];
    let long = sipp::Options { keys: &keys, within_s: 90, ..sipp::Options::default() };
    let caller = Sipp::call(&server.sip(), "call_under_a_name", sipp::Options { user: "81", ..long });
    page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
    // One that nobody takes is seen beside it, and given up.
    let ringing =
        Sipp::await_calls("called_is_cancelled", sipp::Options { within_s: 60, ..sipp::Options::default() }).await;
    Calls::of(&server).make(&ringing.uri(), 1).await;
    page.wait_for("document.querySelector('.phone-call[data-status=ringing]')", SOON).await;
    assert_eq!(text(&mut page, ".phone-call[data-status=ringing] .phone-name").await, ringing.uri());
    page.click(".phone-call[data-status=ringing] .phone-hangup").await;
    ringing.good().await;
    page.wait_for("document.querySelectorAll('.phone-call').length === 1", SOON).await;
    assert_eq!(text(&mut page, ".phone-call .phone-name").await, HOSTILE);
    assert_eq!(text(&mut page, ".phone-call .phone-number").await, "<b>bob");
    assert_eq!(text(&mut page, ".phone-call .phone-dialled").await, "81");
    assert!(text(&mut page, ".phone-call .phone-facts").await.starts_with("talks 0:"));
    assert_eq!(page.evaluate("document.querySelector('.phone-call .phone-name').tagName").await, "BDI");
    assert_eq!(page.evaluate("document.querySelectorAll('[data-count=calls]')[1].textContent").await, "1");
    page.wait_for("document.querySelector('.phone-past[data-status=canceled]')", SOON).await;

    // The transcript of its room, and back.
    page.click(".phone-call .phone-transcript").await;
    page.wait_for("document.querySelector('#room-title').textContent === '81'", SOON).await;
    page.wait_for("document.querySelectorAll('.person').length === 1", SOON).await;
    assert_eq!(text(&mut page, ".person-name").await, HOSTILE);
    page.click(".to-telephone").await;

    page.click(".phone-call .phone-hangup").await;
    caller.good().await;
    page.wait_for("document.querySelectorAll('.phone-call').length === 0", SOON).await;
    page.wait_for("document.querySelectorAll('.phone-past[data-status=completed]').length === 1", SOON).await;
    assert_eq!(text(&mut page, ".phone-past[data-status=completed] .phone-name").await, HOSTILE);
    // The focus is not lost with the button that had it.
    assert_eq!(page.evaluate("document.activeElement.id").await, "live-head");
    page.click(".phone-past[data-status=completed] .phone-transcript").await;
    page.wait_for("document.querySelector('#room-title').textContent === '81'", SOON).await;
    assert_eq!(page.evaluate("window.harmed ?? null").await, Value::Null);
    assert_eq!(page.evaluate("document.querySelectorAll('img').length").await, 0);
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_that_is_dialled_hears_keys_and_is_heard_unless_held_or_muted() {
    let (Some(browser), Some(says)) = (parts(), speech(180)) else { return };
    if let Err(why) = Baresip::installed() {
        return println!("{why}");
    }
    let Some((silent, _)) = microphone("nobody", "audio/speech/jfk.wav", Duration::from_secs(300)) else { return };
    let server = start("");
    let account = ";regint=0;answermode=auto".to_owned();
    let options = baresip::Options { user: "bob", account, says, ..baresip::Options::default() };
    let mut bob = Baresip::start(&server.sip(), options).await;
    let room = open_room(&server, json!({"title": "Front desk"})).await;
    let mut ada = Person::at(&server, &browser, "Ada", Some(&silent)).await;
    ada.open(&room).await;
    ada.join().await;
    ada.listen().await;

    // A call that is placed here goes where this page is.
    ada.page.click(".to-telephone").await;
    ada.page.wait_for(&format!("document.querySelector('#dial-into').value === '{room}'"), SOON).await;
    ada.page.evaluate("document.querySelector('#dial-to').focus()").await;
    ada.page.type_text(&format!("sip:bob@127.0.0.1:{}", bob.port())).await;
    ada.page.press("Enter").await;
    bob.until("CALL_ESTABLISHED").await;
    ada.page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
    ada.until_level(2.0, |dbfs| dbfs > -50.0, SOON, "Bob").await;
    ada.page.wait_for("document.querySelector('.phone-sound').textContent.includes('sounds good')", SOON).await;
    assert!(text(&mut ada.page, ".phone-sound").await.contains("PCMU"));
    ada.page.screenshot(&artifact("telephone-1440.png")).await;

    // Keys by touch and by typing, in their order.
    ada.page.click(".phone-call .phone-keys").await;
    for key in ["4", "2"] {
        ada.page.click(&format!(".phone-call [data-key='{key}']")).await;
    }
    ada.page.press("#").await;
    for key in ["4", "2", "#"] {
        assert_eq!(bob.until("CALL_DTMF_START").await["param"], key);
    }
    ada.page.wait_for("document.querySelector('.phone-pressed').textContent === 'Sent: 42#'", SOON).await;
    ada.page.press("Escape").await;
    assert_eq!(ada.page.evaluate("document.activeElement.className").await, "small phone-keys");

    for (button, word) in [("hold", "held"), ("mute", "muted")] {
        let button = format!(".phone-call .phone-{button}");
        ada.page.click(&button).await;
        is_said(&mut ada, word, true).await;
        ada.until_level(2.0, |dbfs| dbfs < -70.0, SOON, word).await;
        ada.page.click(&button).await;
        is_said(&mut ada, word, false).await;
        ada.until_level(2.0, |dbfs| dbfs > -50.0, SOON, &format!("no longer {word}")).await;
    }
    ada.page.click(".phone-call .phone-hangup").await;
    bob.until("CALL_CLOSED").await;
    ada.page.wait_for("document.querySelectorAll('.phone-call').length === 0", SOON).await;
    ada.page.wait_for("document.querySelectorAll('.phone-past').length === 1", SOON).await;
    // Who was called lately can be called again.
    ada.page.click(".phone-past .phone-again").await;
    assert_eq!(
        ada.page.evaluate("document.querySelector('#dial-to').value").await,
        format!("sip:bob@127.0.0.1:{}", bob.port())
    );
    ada.page.click("#dial-go").await;
    bob.until("CALL_ESTABLISHED").await;
    ada.page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
    bob.hang_up().await;
    ada.page.wait_for("document.querySelectorAll('.phone-past').length === 2", SOON).await;
    assert_eq!(ada.close().await, <[String; 0]>::default());
    bob.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_handed_over_to_numbers_and_to_other_calls() {
    let Some(browser) = parts() else { return };
    let server = start(CONFIG);
    let calls = Calls::of(&server);
    let mut page = telephone(&server, &browser, "en-US").await;
    let keys = [("whom", "carol@127.0.0.1:9")];
    let options = sipp::Options { keys: &keys, within_s: 60, ..sipp::Options::default() };
    for (scenario, is_taken) in [("called_and_sent_on", true), ("called_and_sent_on_in_vain", false)] {
        let called = Sipp::await_calls(scenario, options).await;
        dial(&mut page, &called.uri()).await;
        page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
        page.click(".phone-call .phone-transfer").await;
        page.type_text("sip:carol@127.0.0.1:9").await;
        page.press("Enter").await;
        if !is_taken {
            let said = "document.querySelector('.phone-call .phone-error').textContent";
            page.wait_for(&format!("{said}.startsWith('The far end did not take the transfer.')"), SOON).await;
            assert!(page.evaluate(said).await.as_str().unwrap().contains("486"));
            page.click(".phone-call .phone-hangup").await;
        }
        called.good().await;
        page.wait_for("document.querySelectorAll('.phone-call').length === 0", SOON).await;
    }

    let one = Sipp::await_calls("called_and_sent_to_a_call", options).await;
    let other = Sipp::await_calls("called", options).await;
    let (first, second) = (calls.make(&one.uri(), 60).await, calls.make(&other.uri(), 60).await);
    calls.until(&first, "in-progress").await;
    calls.until(&second, "in-progress").await;
    let line = format!(".phone-call[data-call='{first}']");
    page.wait_for(&format!("document.querySelector(\"{line}[data-status=in-progress]\")"), SOON).await;
    page.wait_for("document.querySelectorAll('.phone-call[data-status=in-progress]').length === 2", SOON).await;
    page.click(&format!("{line} .phone-transfer")).await;
    let choose = format!(
        "(() => {{ const one = document.querySelector(\"{line} .phone-to-call\"); one.value = '{second}'; \
         one.dispatchEvent(new Event('change')); return one.value; }})()"
    );
    assert_eq!(page.evaluate(&choose).await, second.as_str());
    page.click(&format!("{line} .phone-go")).await;
    page.wait_for(&format!("!document.querySelector(\"{line}\")"), SOON).await;
    // Whoever was sent there would replace us now.
    page.click(&format!(".phone-call[data-call='{second}'] .phone-hangup")).await;
    Sipp::all_good(vec![one, other]).await;
    calls.none().await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_dialled_is_explained_and_lines_to_the_outside_are_shown() {
    let Some(browser) = parts() else { return };
    let server = start("");
    let mut page = telephone(&server, &browser, "en-US").await;
    for (number, reason) in [
        ("+4930123456", "There is no line to the outside."),
        ("<script>", "This is no number and no address."),
        ("client:nobody", "Nobody is reached there."),
    ] {
        dial(&mut page, number).await;
        is_refused(&mut page, reason).await;
    }
    // What is typed next is not what was refused.
    page.click("#dial-pad [data-key='5']").await;
    assert_eq!(page.evaluate("document.querySelector('#dial-error').hidden").await, true);
    assert_eq!(page.evaluate("document.querySelector('#trunks-section').hidden").await, true);
    page.close().await;

    // One that is asked how it is and does not say, and one that is not asked.
    let (dead, quiet) = (free_port(), free_port());
    let config = format!(
        "[dialling]\nallow = [\"+49\"]\ncaller_calls_per_minute = 1\n\
         [[trunks]]\nname = \"carrier\"\nuri = \"sip:127.0.0.1:{quiet}\"\nkeepalive_s = 0\n\
         [[trunks]]\nname = \"far\"\nuri = \"sip:127.0.0.1:{dead}\"\nuser = \"a\"\npassword = \"b\"\nregister = true\n"
    );
    let server = start(&config);
    let mut page = telephone(&server, &browser, "de-DE").await;
    page.wait_for("document.querySelectorAll('.phone-trunk').length === 2", SOON).await;
    let state = |at: usize| format!("document.querySelectorAll('.phone-trunk')[{at}]");
    assert_eq!(page.evaluate(&format!("{}.textContent", state(0))).await, "carrierin Betrieb · 0 Anrufe");
    assert_eq!(page.evaluate(&format!("{}.querySelector('.phone-name').textContent", state(1))).await, "far");
    assert_eq!(page.evaluate(&format!("{}.dataset.state", state(1))).await, "down");
    assert!(text(&mut page, ".phone-trunk[data-state=down]").await.contains("nicht angemeldet"));
    dial(&mut page, "+43112233").await;
    is_refused(&mut page, "Das darf nicht gewählt werden.").await;
    let said = text(&mut page, "#dial-error").await;
    assert!(said.contains("dialling.allow"), "{said}");
    let called =
        Sipp::await_calls("called", sipp::Options { port: quiet, within_s: 60, ..sipp::Options::default() }).await;
    dial(&mut page, "+4930112233").await;
    page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
    page.wait_for(&format!("{}.textContent === 'carrierin Betrieb · 1 Anruf'", state(0)), SOON).await;
    assert!(text(&mut page, ".phone-call .phone-facts").await.contains("über carrier"));
    dial(&mut page, "+4930112234").await;
    is_refused(&mut page, "Zu viele Anrufe für den Moment.").await;
    page.click(".phone-call .phone-hangup").await;
    called.good().await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_phone_and_comes_back_after_the_network_was_away() {
    let Some(browser) = parts() else { return };
    let server = start(CONFIG);
    let mut page = telephone(&server, &browser, "de-DE").await;
    let keys =
        [("name", "Anna-Maria von und zu Donaudampfschifffahrtsgesellschaft"), ("caller", "+4930123456789012345")];
    let options = sipp::Options { keys: &keys, within_s: 90, user: "82", ..sipp::Options::default() };
    let caller = Sipp::call(&server.sip(), "call_under_a_name", options);
    page.wait_for("document.querySelector('.phone-call[data-status=in-progress]')", SOON).await;
    page.click(".phone-call .phone-keys").await;
    for (width, height) in [(360, 740), (768, 1024), (1440, 900)] {
        page.resize(width, height, width == 360).await;
        assert_eq!(page.evaluate("document.documentElement.scrollWidth").await, width, "scrolls sideways");
        let sticks_out = "[...document.querySelectorAll('#pane-telephone *')].filter((one) => one.checkVisibility() && \
            one.getBoundingClientRect().right > document.querySelector('#pane-telephone').getBoundingClientRect().right + 1)\
            .map((one) => one.outerHTML.slice(0, 80)).join()";
        assert_eq!(page.evaluate(sticks_out).await, "", "at {width}");
        page.screenshot(&artifact(&format!("telephone-call-{width}.png"))).await;
    }
    page.resize(360, 740, true).await;
    // Big enough for a thumb.
    let smallest = "Math.min(...[...document.querySelectorAll('.phone-call button, #dial button')]\
        .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().height))";
    assert!(page.evaluate(smallest).await.as_f64().unwrap() >= 32.0);
    page.prefer_dark(true).await;
    page.click("[data-go=rooms]").await;
    page.click(".panes [data-go=telephone]").await;
    page.screenshot(&artifact("telephone-dark-360.png")).await;

    page.go_offline(true).await;
    page.wait_for("!document.querySelector('#phone-stale').hidden", SOON).await;
    assert_eq!(page.evaluate("document.querySelectorAll('.phone-call').length").await, 1, "what was known is gone");
    page.click(".phone-call .phone-hangup").await;
    page.wait_for("!document.querySelector('.phone-call .phone-error').hidden", SOON).await;
    page.go_offline(false).await;
    page.wait_for("document.querySelector('#phone-stale').hidden", SOON).await;
    page.click(".phone-call .phone-hangup").await;
    caller.good().await;
    page.wait_for("document.querySelectorAll('.phone-past').length === 1", SOON).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_telephone_offers_none() {
    let Some(browser) = browser_or_skip() else { return };
    let server = Server::start(server::Options::default()).unwrap();
    let mut page = Chromium::start(&browser, chromium::Options::default()).await;
    page.open(&server.base_url()).await;
    page.wait_for("document.querySelector('#engine').textContent !== ''", SOON).await;
    assert_eq!(page.evaluate("document.querySelectorAll('[data-go=telephone]:not([hidden])').length").await, 0);
    assert_eq!(page.errors(), <[String; 0]>::default());
    page.close().await;
}

/// The browser and sipp, or the reason to skip, told.
fn parts() -> Option<PathBuf> {
    if let Err(why) = Sipp::installed() {
        println!("{why}");
        return None;
    }
    browser_or_skip()
}

fn start(config: &str) -> Server {
    Server::start(server::Options { config, telephone: Some(TRUSTED), ..server::Options::default() }).unwrap()
}

/// A browser that shows the telephone of the server.
async fn telephone(server: &Server, browser: &std::path::Path, language: &str) -> Chromium {
    let mut page = Chromium::start(browser, chromium::Options { language, ..Default::default() }).await;
    page.resize(1440, 900, false).await;
    page.open(&server.base_url()).await;
    page.wait_for("!document.querySelector('.to-telephone').hidden", SOON).await;
    page.click(".to-telephone").await;
    page
}

/// Types a number or an address and calls it.
async fn dial(page: &mut Chromium, whom: &str) {
    page.evaluate("document.querySelector('#dial-to').select()").await;
    page.type_text(whom).await;
    page.click("#dial-go").await;
}

async fn is_refused(page: &mut Chromium, reason: &str) {
    let said = "document.querySelector('#dial-error').textContent";
    page.wait_for(&format!("{said}.startsWith({})", json!(reason)), SOON).await;
}

/// Waits until the call's line says a word of its state, or does not any more.
async fn is_said(person: &mut Person, word: &str, is_so: bool) {
    let said = format!("document.querySelector('.phone-call .phone-state').textContent.includes('{word}') === {is_so}");
    person.page.wait_for(&said, SOON).await;
}

async fn text(page: &mut Chromium, selector: &str) -> String {
    let text = page.evaluate(&format!("document.querySelector({selector:?}).textContent")).await;
    text.as_str().unwrap_or_default().to_owned()
}

/// Speech as a telephone says it, again and again for so many seconds.
fn speech(seconds: usize) -> Option<Vec<f32>> {
    let path = fixture::recording("audio/speech/jfk.wav").map_err(|why| println!("{why}")).ok()?;
    let mut resampler = media::dsp::resample::Resampler::new(16_000, 8_000).unwrap();
    let mut says = Vec::new();
    resampler.process(&fixture::wav_16k(&path), &mut says);
    resampler.flush(&mut says);
    Some(says.into_iter().cycle().take(seconds * 8_000).collect())
}
