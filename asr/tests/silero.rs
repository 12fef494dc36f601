//! Silero on speech and on what is none; batches and single runs agree.

mod fixture;

use asr::vad::silero::{Silero, State, WINDOW_SAMPLES, Window};

/// Scores a recording as one stream.
fn scores(silero: &mut Silero, audio: &[f32]) -> Vec<f32> {
    let mut state = State::default();
    audio
        .as_chunks::<WINDOW_SAMPLES>()
        .0
        .iter()
        .map(|samples| {
            let mut window = Window { state: &mut state, samples, speech: f32::NAN };
            silero.score(std::slice::from_mut(&mut window)).expect("scores");
            window.speech
        })
        .collect()
}

fn share(scores: &[f32]) -> f32 {
    scores.iter().filter(|&&score| score > 0.5).count() as f32 / scores.len() as f32
}

/// White noise, the same on every run.
fn noise(samples: usize, amplitude: f32) -> Vec<f32> {
    let mut seed = 1u32;
    (0..samples)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 * amplitude - amplitude
        })
        .collect()
}

fn tones(samples: usize, low_hz: f32, high_hz: f32) -> Vec<f32> {
    (0..samples)
        .map(|index| {
            let at = index as f32 / 16_000.0 * std::f32::consts::TAU;
            let on = if index % 3200 < 1600 { 0.25 } else { 0.0 };
            on * ((at * low_hz).sin() + (at * high_hz).sin())
        })
        .collect()
}

#[test]
fn a_batch_scores_like_single_runs() {
    let Some((library, model)) = fixture::silero() else { return };
    let Some(audio) = fixture::speech("speech/jfk.wav") else { return };
    let mut silero = Silero::load(&library, &model).expect("loads");
    // 70 streams are more than one batch holds; each begins elsewhere in the recording.
    const STREAMS: usize = 70;
    let streams: Vec<&[f32]> = (0..STREAMS).map(|stream| &audio[stream * 1000..][..WINDOW_SAMPLES * 12]).collect();
    let single: Vec<Vec<f32>> = streams.iter().map(|audio| scores(&mut silero, audio)).collect();
    let mut states = vec![State::default(); STREAMS];
    for at in 0..12 {
        let mut windows: Vec<Window<'_>> = states
            .iter_mut()
            .zip(&streams)
            .map(|(state, audio)| Window { state, samples: &audio.as_chunks().0[at], speech: f32::NAN })
            .collect();
        silero.score(&mut windows).expect("scores");
        for (stream, (window, single)) in windows.iter().zip(&single).enumerate() {
            let alone = single[at];
            assert!((window.speech - alone).abs() < 1e-4, "stream {stream} window {at}: {} {alone}", window.speech);
        }
    }
    silero.score(&mut []).expect("nobody is there");
}

#[test]
fn speech_scores_high_and_what_is_no_speech_scores_low() {
    let Some((library, model)) = fixture::silero() else { return };
    let Some(audio) = fixture::speech("speech/jfk.wav") else { return };
    let mut silero = Silero::load(&library, &model).expect("loads");
    let speech = share(&scores(&mut silero, &audio));
    assert!((0.6..0.95).contains(&speech), "jfk speaks, with pauses: {speech}");
    let quiet: Vec<f32> = audio.iter().map(|sample| sample * 0.01).collect();
    let quiet_speech = share(&scores(&mut silero, &quiet));
    assert!((quiet_speech - speech).abs() < 0.08, "40 dB down: {quiet_speech} instead of {speech}");
    let long = 16_000 * 10;
    for (what, audio) in [
        ("silence", vec![0.0; long]),
        ("noise", noise(long, 0.05)),
        ("faint noise", noise(long, 0.001)),
        ("loud noise", noise(long, 0.5)),
        ("DTMF 5", tones(long, 770.0, 1336.0)),
        ("ringback", tones(long, 440.0, 480.0)),
    ] {
        let speech = share(&scores(&mut silero, &audio));
        println!("{what}: {speech}");
        assert!(speech < 0.02, "{what}: {speech}");
    }
}
