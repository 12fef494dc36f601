//! What a browser's echo costs: WHIP into a real server, through decode, graph and encode, and back.
//!
//! Budgets: a sound is back on the wire 35 ms after it left at p50, and a peer costs at most 1.5 % of a core. The
//! callers run in this process, the server in its own, so that its processor time is its alone. The sound is found again
//! by comparing waveforms; each caller counts with the median of its blocks, and the figure is the p50 of the callers.

use std::time::{Duration, Instant};

use benches::{Budgets, cpu_of, percentile};
use media::dsp::resample::Resampler;
use tests::{
    listening::{Sound, compare},
    server::{Options, Server, models_or_skip},
    sounds::{VOICE_HZ, voice},
    webrtc_caller::{Caller, RATE_HZ, Wants},
};

/// Peers at once: few enough that the callers' own work leaves the server a core.
const PEERS: usize = 5;

/// How long they speak while it is measured.
const SECONDS: f64 = 12.0;

#[tokio::main]
async fn main() {
    server::models::tls::install();
    let mut budgets = Budgets::default();
    if models_or_skip().is_none() {
        return;
    }
    if let Err(why) = run(&mut budgets).await {
        budgets.note(&why);
        std::process::exit(1);
    }
    budgets.section(&format!("{} budgets missed", budgets.misses()));
}

async fn run(budgets: &mut Budgets) -> Result<(), String> {
    budgets.section(&format!("{PEERS} WebRTC peers that hear their echo"));
    let server = Server::start(Options::default())?;
    let url = format!("{}/whip/echo", server.base_url());
    let wants = Wants { speaks: true, listens: true, has_channel: false };
    let mut callers = Vec::new();
    for _ in 0..PEERS {
        let caller = Caller::call(&url, wants).await.map_err(|refused| format!("{refused:?}"))?;
        caller.connected().await;
        callers.push(caller);
    }
    // What they say first is not measured: jitter buffers settle. How long a packet waits for the engine's tick is the luck
    // of when its caller began, so they begin spread over a packet's length.
    let silence = &[0.0; RATE_HZ as usize * 2];
    let (zero, phase) = (now(), Duration::from_millis(20) / PEERS as u32);
    let beginning = callers.iter().zip(0..).map(|(caller, number)| async move {
        tokio::time::sleep_until((zero + phase * number).into()).await;
        caller.speak(silence).await;
    });
    futures_util::future::join_all(beginning).await;
    callers.iter().for_each(Caller::forget);
    let said = speech();
    let (began, used) = (now(), cpu_of(server.process_id()));
    together(&callers, &said).await;
    let (wall, used) = (began.elapsed(), cpu_of(server.process_id()) - used);
    together(&callers, &[0.0; RATE_HZ as usize / 2]).await;

    let (mut delays_ms, mut missing, mut gaps_ms) = (Vec::new(), 0, 0.0);
    for caller in &callers {
        let heard = caller.heard();
        let said = Sound { samples: &said, rate_hz: RATE_HZ };
        let hearing = compare(said, Sound { samples: &heard.samples, rate_hz: RATE_HZ });
        let hearing = hearing.map_err(|error| format!("a caller does not hear its echo: {error:?}"))?;
        delays_ms.push(hearing.delay_ms + heard.first_at_ms);
        missing += heard.missing;
        gaps_ms += hearing.gaps_ms();
    }
    budgets.at_most("round trip on the wire, p50", percentile(&delays_ms, 50), 35.0, "ms");
    budgets.figure("round trip on the wire, the slowest peer", percentile(&delays_ms, 100), "ms");
    let per_peer = used.as_secs_f64() / wall.as_secs_f64() / PEERS as f64 * 100.0;
    budgets.at_most("processor time of the server per peer", per_peer, 1.5, "%");
    budgets.figure("packets missing", missing as f64, "");
    budgets.figure("gaps in what was heard", gaps_ms, "ms");
    Ok(())
}

/// All callers say the same at once.
async fn together(callers: &[Caller], samples: &[f32]) {
    let speaking: Vec<_> = callers.iter().map(|caller| caller.speak(samples)).collect();
    futures_util::future::join_all(speaking).await;
}

fn speech() -> Vec<f32> {
    let mut resampler = Resampler::new(VOICE_HZ, RATE_HZ).expect("both are rates of sound");
    let mut samples = Vec::new();
    resampler.process(&voice(SECONDS, 5), &mut samples);
    resampler.flush(&mut samples);
    samples
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
