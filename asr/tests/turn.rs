//! End of turn: the picture is the one that the model learned from, and real pauses score as people hear them.

mod fixture;

use asr::turn::{
    EndOfTurn,
    features::{FRAMES, Features, MELS, SAMPLES},
};

/// A voice of sorts, the same in every language to the last bit: a sawtooth that swells, and noise.
fn sound(samples: usize) -> Vec<f32> {
    let mut seed = 1u32;
    (0..samples)
        .map(|at| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(seed >> 8) / f64::from(1 << 23) - 1.0;
            let voice = (at % 100) as f64 / 50.0 - 1.0;
            let swell = ((at % 4_800) as f64 / 2_400.0 - 1.0).abs();
            (0.3 * swell * voice + 0.02 * noise) as f32
        })
        .collect()
}

const ROWS: [usize; 7] = [0, 1, 10, 25, 40, 60, 79];
const COLUMNS: [usize; 10] = [0, 1, 2, 250, 499, 500, 501, 650, 798, 799];

/// What a picture must look like: at [`ROWS`] and [`COLUMNS`], and on the whole.
struct Reference {
    samples: usize,
    mean: f32,
    least: f32,
    most: f32,
    levels: [[f32; 10]; 7],
}

/// Made with numpy in double precision by what ships beside the model (pipecat-ai 1.14.0,
/// `compute_whisper_log_mel_features`, itself held against the transformers library's extractor), from the same
/// sound, of which the last 8 s were taken and shorter ones filled up with zeros in front.
#[rustfmt::skip]
const REFERENCES: [Reference; 2] = [
    Reference { samples: 48_000, mean: 0.293_398, least: -0.179_177, most: 1.820_823, levels: [
        [0.59056, 0.59056, 0.59056, 0.59056, 0.99186, 1.56778, 0.80449, 0.91725, 0.97954, 1.14587],
        [0.31643, 0.31643, 0.31643, 0.31643, 0.95837, 1.62725, 1.00153, 0.87260, 0.80643, 1.15999],
        [-0.17918, -0.17918, -0.17918, -0.17918, 0.83785, 1.21595, 1.26991, 1.28791, 1.26868, 1.29366],
        [-0.17918, -0.17918, -0.17918, -0.17918, 0.65557, 1.29484, 1.42620, 1.42635, 1.41532, 1.42440],
        [-0.17918, -0.17918, -0.17918, -0.17918, 0.54658, 1.13459, 1.23346, 1.23087, 1.16444, 1.21617],
        [-0.17918, -0.17918, -0.17918, -0.17918, 0.40662, 0.98717, 1.06160, 1.05623, 1.02873, 1.08619],
        [-0.17918, -0.17918, -0.17918, -0.17918, 0.32429, 0.90385, 0.96067, 1.01759, 1.01616, 0.93157],
    ] },
    Reference { samples: 150_000, mean: 0.946_367, least: -0.247_214, most: 1.710_012, levels: [
        [1.19118, 0.65868, 0.37409, 0.80386, 0.71718, 0.46013, 0.66077, 0.72705, 0.62474, 0.89355],
        [1.27682, 0.63926, 0.66529, 0.80389, 0.67065, 0.56229, 0.44394, 0.78867, 0.62246, 0.83225],
        [0.95248, 0.91514, 0.91649, 1.13687, 1.04554, 1.02088, 1.00552, 1.03279, 1.07285, 1.07531],
        [0.28773, 0.94251, 1.05412, 1.29365, 1.21891, 1.18727, 1.16559, 1.18629, 1.20357, 1.19079],
        [0.85239, 0.83389, 0.78658, 1.09376, 1.03485, 0.97391, 0.91067, 0.99339, 0.99717, 1.01446],
        [0.66556, 0.73243, 0.76165, 0.92349, 0.86652, 0.80505, 0.83718, 0.90841, 0.85473, 0.91831],
        [0.61512, 0.72190, 0.67596, 0.87107, 0.85435, 0.82244, 0.77397, 0.80595, 0.81362, 0.75842],
    ] },
];

#[test]
fn a_picture_is_the_one_that_the_model_learned_from() {
    let mut features = Features::new();
    for reference in &REFERENCES {
        let picture = features.of(&sound(reference.samples));
        assert_eq!(picture.len(), MELS * FRAMES);
        let near = |what: &str, is: f32, should: f32| {
            assert!((is - should).abs() < 1e-3, "{} samples, {what}: {is} for {should}", reference.samples);
        };
        for (row, levels) in ROWS.iter().zip(&reference.levels) {
            for (column, level) in COLUMNS.iter().zip(levels) {
                near(&format!("row {row} column {column}"), picture[row * FRAMES + column], *level);
            }
        }
        near("mean", picture.iter().sum::<f32>() / picture.len() as f32, reference.mean);
        near("least", picture.iter().copied().fold(f32::INFINITY, f32::min), reference.least);
        near("most", picture.iter().copied().fold(f32::NEG_INFINITY, f32::max), reference.most);
    }
}

/// Pauses in recordings, some 200 ms after the last sound, in seconds: where a sentence is over, and where the
/// speaker has more to say.
const PAUSES: [(&str, &[f32], &[f32]); 2] = [
    ("speech/jfk.wav", &[10.56], &[3.87, 4.48, 7.71]),
    ("speech/two_cities_16k.wav", &[28.45, 41.82, 43.33], &[6.37, 14.94, 18.91, 26.18, 29.79, 38.53]),
];

#[test]
fn the_end_of_a_sentence_scores_high_and_a_pause_within_one_low() {
    let Some(mut turn) = model() else { return };
    for (name, over, within) in PAUSES {
        let Some(sound) = fixture::speech(name) else { return };
        let mut score = |at: f32| turn.score(&sound[..(at * 16_000.0) as usize]).expect("scores");
        for &at in over {
            let probability = score(at);
            assert!(probability > 0.8, "{name} is over at {at} s: {probability}");
        }
        for &at in within {
            let probability = score(at);
            assert!(probability < 0.25, "{name} goes on at {at} s: {probability}");
        }
    }
}

#[test]
fn a_quiet_line_and_an_earlier_sentence_change_no_verdict() {
    let Some(mut turn) = model() else { return };
    let (Some(jfk), Some(tale)) = (fixture::speech("speech/jfk.wav"), fixture::speech("speech/two_cities_16k.wav"))
    else {
        return;
    };
    let earlier = &tale[40 * 16_000..43 * 16_000];
    for (at, is_over) in [(3.87, false), (10.56, true)] {
        let said = &jfk[..(at * 16_000.0) as usize];
        let quiet: Vec<f32> = said.iter().map(|sample| sample * 0.03).collect();
        let again = [earlier, &[0.0; 16_000], said].concat();
        for (what, sound) in [("30 dB down", &quiet), ("after another sentence", &again)] {
            let probability = turn.score(sound).expect("scores");
            assert_eq!(probability > 0.5, is_over, "{what}, at {at} s: {probability}");
        }
    }
}

#[test]
fn any_sound_is_answered_with_a_probability() {
    let Some(mut turn) = model() else { return };
    let hostile = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1e-40];
    let sounds = [
        ("nothing", vec![]),
        ("one sample", vec![0.5]),
        ("silence", vec![0.0; SAMPLES]),
        ("a constant", vec![1.0; SAMPLES]),
        ("no numbers", vec![f32::NAN; 4_000]),
        ("a bit of everything", hostile.repeat(3_000)),
        ("a minute", sound(60 * 16_000)),
    ];
    for (what, sound) in &sounds {
        let probability = turn.score(sound).expect("scores");
        assert!((0.0..=1.0).contains(&probability), "{what}: {probability}");
    }
    // What was not a number is silence and nothing else, and leaves nothing behind.
    let (silence, numberless) = (turn.score(&[0.0; 4_000]), turn.score(&[f32::NAN; 4_000]));
    assert_eq!(silence.expect("scores"), numberless.expect("scores"));
}

fn model() -> Option<EndOfTurn> {
    let (library, model) = fixture::smart_turn()?;
    Some(EndOfTurn::load(&library, &model).expect("the model is whole"))
}
