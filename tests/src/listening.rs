//! What did the far end hear? Compares what was said with what came out, sample against sample.
//!
//! Pure: two sounds go in, the delay, the level, the likeness, the gaps, the clicks and the drift come out. Both are
//! brought to 8 kHz, where telephones and browsers can be compared. Waveforms are aligned block by block, so a jitter
//! buffer that changes its mind half way is followed and its changes are told. What the original has is never held
//! against what was heard: a pause is no gap, a plosive is no click.

use media::dsp::resample::Resampler;

use crate::standstill;

/// Everything is compared at this rate.
pub const COMPARED_HZ: u32 = 8_000;

/// Alike from here on is the same speech; what the same voice says in other words stays far below [`UNLIKE`].
pub const ALIKE: f64 = 0.9;

/// Below this it is another speech.
pub const UNLIKE: f64 = 0.8;

/// A gap is no shorter: what is shorter is heard as roughness, not as a hole.
pub const GAP_MS: f64 = 10.0;

/// Samples at [`COMPARED_HZ`] in a millisecond.
const PER_MS: f64 = COMPARED_HZ as f64 / 1_000.0;

/// The coarse alignment looks at loudness every 5 ms.
const ENVELOPE_STEP: usize = 40;

/// A block of the fine alignment: 400 ms, which holds a syllable or two and is over before clocks drift apart.
const BLOCK: usize = 3_200;

/// How far a block may lie from the one before it: 120 ms, more than a jitter buffer changes at once.
const SEARCH: i64 = 960;

/// A block is looked at in parts of 50 ms too, since a jitter buffer that stretches or shortens time cuts and repeats
/// periods of a voice within it.
const PARTS: usize = 8;

/// How far a part may lie from where its block lies: 16 ms, two periods of a low voice.
const PART_SEARCH: i64 = 128;

/// The period of a low voice, 8 ms.
const PERIOD: f64 = 64.0;

/// Gaps are looked for in steps of 2.5 ms.
const STEP: usize = 20;

/// What is below this share of what was said (-40 dB) counts as nothing.
const NOTHING: f32 = 0.01;

/// A block is believed to be where it was found from this correlation on.
const BELIEVED: f64 = 0.5;

/// Order of the prediction that clicks stand out from.
const ORDER: usize = 8;

/// Mono samples in [-1, 1] and their rate.
#[derive(Clone, Copy, Debug)]
pub struct Sound<'a> {
    /// The samples.
    pub samples: &'a [f32],
    /// Samples in a second.
    pub rate_hz: u32,
}

/// A stretch of speech of which nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Where it begins in what was said, in seconds.
    pub at_s: f64,
    /// How long it is.
    pub length_ms: f64,
    /// Whether it swallowed the beginning of a word after a pause: too little came before that could have been drawn out.
    pub is_onset: bool,
}

/// What became of a sound on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Hearing {
    /// How much later it is in what was heard: the median over the blocks.
    pub delay_ms: f64,
    /// The longest delay of a block less the shortest.
    pub delay_spread_ms: f64,
    /// By how much the far clock is slow, in parts of a million: how the delay grows over the whole sound.
    pub drift_ppm: f64,
    /// Correlation of the waveforms, the median over the blocks: 1 is the same, 0 another sound. What is whole but was
    /// stretched or shortened on its way, as clocks that differ make a jitter buffer do, is the same.
    pub likeness: f64,
    /// How much louder it is.
    pub level_db: f64,
    /// Where speech was said and nothing heard.
    pub gaps: Vec<Gap>,
    /// Where what was heard jumps and what was said does not, in seconds of what was heard.
    pub clicks_s: Vec<f64>,
}

impl Hearing {
    /// The longest gap; zero when there is none.
    pub fn longest_gap_ms(&self) -> f64 {
        self.gaps.iter().map(|gap| gap.length_ms).fold(0.0, f64::max)
    }

    /// Gaps that could have been concealed: those with sound before them.
    pub fn breaks(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| !gap.is_onset)
    }

    /// All gaps together.
    pub fn gaps_ms(&self) -> f64 {
        self.gaps.iter().map(|gap| gap.length_ms).sum()
    }
}

/// What was said is not to be found in what was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotHeard {
    /// The best median correlation of the blocks.
    pub likeness: f64,
    /// How loud what was heard is, in dBFS.
    pub heard_dbfs: f32,
}

/// Compares what was said with what was heard.
///
/// # Errors
/// When the one is not to be found in the other.
///
/// # Panics
/// When a rate is none that sound has.
pub fn compare(said: Sound<'_>, heard: Sound<'_>) -> Result<Hearing, NotHeard> {
    let (said, heard) = (at_compared_rate(said), at_compared_rate(heard));
    let blocks = align(&said, &heard);
    let believed: Vec<&Block> = blocks.iter().filter(|block| block.likeness >= BELIEVED).collect();
    let likeness = median(blocks.iter().map(|block| block.likeness).collect());
    if believed.len() * 4 < blocks.len() || believed.is_empty() {
        return Err(NotHeard { likeness, heard_dbfs: media::dsp::level::rms_dbfs(&heard) });
    }
    let lags = || believed.iter().map(|block| block.lag);
    let gain = gain(&said, &heard, &believed);
    Ok(Hearing {
        delay_ms: median(lags().collect()) / PER_MS,
        delay_spread_ms: (lags().fold(f64::MIN, f64::max) - lags().fold(f64::MAX, f64::min)) / PER_MS,
        drift_ppm: slope(&believed) * 1e6,
        likeness,
        level_db: 20.0 * f64::from(gain).log10(),
        gaps: gaps(&said, &heard, &believed, gain),
        clicks_s: clicks(&said, &heard, &believed, gain),
    })
}

/// How alike what was said and what was heard are: 1 is the same, 0 another sound.
///
/// # Panics
/// When a rate is none that sound has.
pub fn likeness(said: Sound<'_>, heard: Sound<'_>) -> f64 {
    compare(said, heard).map_or_else(|not| not.likeness, |hearing| hearing.likeness)
}

/// That what was said is heard without a hole but for what [`standstill`] explains; when its end is heard, in seconds.
///
/// # Panics
/// When it is not.
pub fn is_whole(said: Sound<'_>, heard: Sound<'_>, what: &str) -> f64 {
    let hearing = compare(said, heard).unwrap_or_else(|not| panic!("{what:?} was not heard: {not:?}"));
    assert!(hearing.likeness > ALIKE && standstill::explains(hearing.breaks().count()), "{what:?}: {hearing:?}");
    hearing.delay_ms / 1_000.0 + said.samples.len() as f64 / f64::from(said.rate_hz)
}

fn at_compared_rate(sound: Sound<'_>) -> Vec<f32> {
    let mut resampler = Resampler::new(sound.rate_hz, COMPARED_HZ).expect("a rate that sound has");
    let mut samples = Vec::new();
    resampler.process(sound.samples, &mut samples);
    resampler.flush(&mut samples);
    samples
}

/// A block of what was said and where it was heard.
struct Block {
    /// Its first sample in what was said.
    start: usize,
    /// How many samples later it was heard.
    lag: f64,
    likeness: f64,
}

/// Finds every block that holds speech.
fn align(said: &[f32], heard: &[f32]) -> Vec<Block> {
    let loud = loudness(said) * 0.2;
    let mut near = coarse_lag(said, heard);
    let mut blocks = Vec::new();
    for start in (0..said.len().saturating_sub(BLOCK - 1)).step_by(BLOCK / 2) {
        let block = &said[start..start + BLOCK];
        if rms(block) < loud {
            continue;
        }
        let (lag, mut likeness) = fine_lag(block, heard, start as i64 + near, SEARCH);
        if likeness >= BELIEVED {
            near = lag.round() as i64 - start as i64;
            likeness = likeness.max(in_parts(block, heard, lag.round() as i64));
        }
        blocks.push(Block { start, lag: lag - start as f64, likeness });
    }
    blocks
}

/// Where the loudness of the one fits the loudness of the other best, in samples.
fn coarse_lag(said: &[f32], heard: &[f32]) -> i64 {
    let envelope = |samples: &[f32]| -> Vec<f32> { samples.chunks(ENVELOPE_STEP).map(|c| rms(c).sqrt()).collect() };
    let (mut said, heard) = (envelope(said), envelope(heard));
    let mean = said.iter().sum::<f32>() / said.len().max(1) as f32;
    said.iter_mut().for_each(|level| *level -= mean);
    let earliest = -(said.len() as i64) / 2;
    let fit = |lag: &i64| -> f32 {
        let from = (-lag).max(0) as usize;
        let heard = heard.get((lag + from as i64) as usize..).unwrap_or_default();
        said.get(from..).unwrap_or_default().iter().zip(heard).map(|(a, b)| a * b).sum()
    };
    let best = (earliest..heard.len() as i64).max_by(|a, b| fit(a).total_cmp(&fit(b)));
    best.unwrap_or(0) * ENVELOPE_STEP as i64
}

/// How alike a block is that is heard around `at`, where each of its parts may lie a little elsewhere; the loud ones
/// count for more.
fn in_parts(block: &[f32], heard: &[f32], at: i64) -> f64 {
    let length = block.len() / PARTS;
    let (mut alike, mut all) = (0.0, 0.0);
    for (n, part) in block.chunks_exact(length).enumerate() {
        let energy = f64::from(part.iter().map(|s| s * s).sum::<f32>());
        alike += energy * fine_lag(part, heard, at + (n * length) as i64, PART_SEARCH).1;
        all += energy;
    }
    if all > 0.0 { alike / all } else { 0.0 }
}

/// Where `block` is heard within `search` of `near`, between samples, and how alike it is there.
fn fine_lag(block: &[f32], heard: &[f32], near: i64, search: i64) -> (f64, f64) {
    let energy: f32 = block.iter().map(|s| s * s).sum();
    let likeness = |at: i64| -> f64 {
        let (Ok(from), Some(energy)) = (usize::try_from(at), (energy > 0.0).then_some(energy)) else { return 0.0 };
        let Some(there) = heard.get(from..from + block.len()) else { return 0.0 };
        let (dot, theirs) = block.iter().zip(there).fold((0.0, 0.0), |(d, e), (a, b)| (d + a * b, e + b * b));
        if theirs > 0.0 { f64::from(dot / (energy * theirs).sqrt()) } else { 0.0 }
    };
    // A voice is like itself a period later: a block is where the one before was, unless elsewhere is clearly better.
    let worth = |at: i64, likeness: f64| likeness - 0.05 * ((at - near).abs() as f64 / PERIOD).min(1.0);
    let best = (near - search..=near + search)
        .map(|at| (at, likeness(at)))
        .max_by(|a, b| worth(a.0, a.1).total_cmp(&worth(b.0, b.1)))
        .unwrap_or((near, 0.0));
    // The top of the parabola through the best and its neighbours.
    let (before, after) = (likeness(best.0 - 1), likeness(best.0 + 1));
    let bend = before - 2.0 * best.1 + after;
    let between = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    (best.0 as f64 + between, best.1)
}

/// The factor from what was said to what was heard.
fn gain(said: &[f32], heard: &[f32], blocks: &[&Block]) -> f32 {
    let ratio = |block: &&Block| {
        let there = (block.start as f64 + block.lag).round().max(0.0) as usize;
        let heard = heard.get(there..(there + BLOCK).min(heard.len())).unwrap_or_default();
        f64::from(rms(heard) / rms(&said[block.start..block.start + BLOCK]).max(1e-9))
    };
    median(blocks.iter().map(ratio).collect()) as f32
}

/// How much the lag grows with every sample: the median over all pairs of blocks that lie apart (Theil and Sen), so
/// that a block in the wrong place does not bend the line.
fn slope(blocks: &[&Block]) -> f64 {
    let apart = blocks.last().map_or(0, |last| last.start - blocks[0].start) / 4;
    let mut slopes = Vec::new();
    for (index, one) in blocks.iter().enumerate() {
        for other in blocks[index + 1..].iter().filter(|other| other.start - one.start > apart) {
            slopes.push((other.lag - one.lag) / (other.start - one.start) as f64);
        }
    }
    median(slopes)
}

/// The lags of the blocks around `at` of what was said: the one whose middle is nearest, then the one on the other side.
fn lags_at(blocks: &[&Block], at: i64) -> [i64; 2] {
    let middle = |index: usize| (blocks[index].start + BLOCK / 2) as i64;
    let after = blocks.partition_point(|block| (block.start + BLOCK / 2) as i64 <= at);
    let (before, after) = (after.saturating_sub(1), after.min(blocks.len() - 1));
    let lag = |index: usize| blocks[index].lag.round() as i64;
    if (middle(after) - at).abs() < (at - middle(before)).abs() {
        [lag(after), lag(before)]
    } else {
        [lag(before), lag(after)]
    }
}

/// Where `there` of what was heard was said, by either lag.
fn said_at(blocks: &[&Block], there: usize) -> [i64; 2] {
    let near = there as i64 - blocks.first().map_or(0, |block| block.lag.round() as i64);
    let near = there as i64 - lags_at(blocks, near)[0];
    lags_at(blocks, near).map(|lag| there as i64 - lag)
}

/// How far the delay goes from block to block around `at` of what was said, at most [`PART_SEARCH`]: where time is
/// stretched or shortened, so far the end of a word may lie from where the blocks say.
fn wander(blocks: &[&Block], at: i64) -> i64 {
    let after = blocks.partition_point(|block| (block.start + BLOCK / 2) as i64 <= at);
    let around = &blocks[after.saturating_sub(3)..(after + 3).min(blocks.len())];
    let lags = || around.iter().map(|block| block.lag);
    let spread = lags().fold(f64::MIN, f64::max) - lags().fold(f64::MAX, f64::min);
    (spread.round() as i64).min(PART_SEARCH)
}

/// Runs of at least [`GAP_MS`] in which nothing is heard though speech was said, wherever the delay changed.
fn gaps(said: &[f32], heard: &[f32], blocks: &[&Block], gain: f32) -> Vec<Gap> {
    let loud = loudness(said) * 0.2;
    let slice = |from: i64, until: i64| {
        let clamp = |at: i64| at.clamp(0, said.len() as i64) as usize;
        &said[clamp(from)..clamp(until)]
    };
    let around = |at: i64| rms(slice(at - 8 * STEP as i64, at + 9 * STEP as i64));
    let (mut gaps, mut run) = (Vec::new(), 0);
    let steps = heard.len() / STEP;
    for step in 0..=steps {
        let there = step * STEP;
        let is_missing = step < steps && {
            let level = rms(&heard[there..there + STEP]);
            let is_said = |at: i64| (0..said.len() as i64).contains(&at) && around(at) > loud;
            let was_loud = |at: &i64| is_said(*at) && level < NOTHING * around(*at) * gain;
            let is_loud_around = |at: &i64| {
                let wander = wander(blocks, *at);
                [at - wander, *at, at + wander].iter().all(was_loud)
            };
            said_at(blocks, there).iter().all(is_loud_around)
        };
        if is_missing {
            run += 1;
            continue;
        }
        // A closure of the lips and the edge of a word are silent in the original too.
        let from = said_at(blocks, there - run * STEP)[0];
        let at = |step: usize| from + (step * STEP) as i64;
        let is_voiced = |step: &usize| rms(slice(at(*step), at(step + 1))) > 0.1 * around(at(*step));
        let voiced = (0..run).filter(is_voiced).count();
        let onset = at((0..run).find(is_voiced).unwrap_or(0));
        let is_onset = rms(slice(onset - 16 * STEP as i64, onset)) < 0.5 * around(onset);
        if (voiced * STEP) as f64 / PER_MS >= GAP_MS && voiced * 2 >= run {
            let length_ms = (run * STEP) as f64 / PER_MS;
            gaps.push(Gap { at_s: from as f64 / f64::from(COMPARED_HZ), length_ms, is_onset });
        }
        run = 0;
    }
    gaps
}

/// Where what was heard cannot be predicted from its past, though what was said can.
fn clicks(said: &[f32], heard: &[f32], blocks: &[&Block], gain: f32) -> Vec<f64> {
    const FRAME: usize = 80;
    /// What the original may do around the frame, so that a lag that is a little wrong accuses nobody: 30 ms.
    const AROUND: usize = 240;
    let mut clicks: Vec<f64> = Vec::new();
    for frame in (ORDER..heard.len().saturating_sub(FRAME)).step_by(FRAME) {
        let [at, _] = said_at(blocks, frame);
        let from = (at - AROUND as i64).clamp(0, said.len() as i64) as usize;
        let until = (at + (FRAME + AROUND) as i64).clamp(0, said.len() as i64) as usize;
        let original = &said[from..until];
        let predictor = predictor(original);
        let surprise = |samples: &[f32]| {
            let residual = samples.windows(ORDER + 1).map(|past| {
                let predicted: f32 = predictor.iter().zip(past[..ORDER].iter().rev()).map(|(a, s)| a * s).sum();
                (past[ORDER] - predicted).abs()
            });
            residual.enumerate().fold((0, 0.0_f32), |best, now| if now.1 > best.1 { now } else { best })
        };
        let (where_in, surprised) = surprise(&heard[frame - ORDER..frame + FRAME]);
        // A codec's noise is a surprise too: it grows with the sound.
        let usual = gain * (3.0 * surprise(original).1 + 0.15 * rms(original)) + 0.01;
        let at_s = (frame + where_in) as f64 / f64::from(COMPARED_HZ);
        if surprised > usual && clicks.last().is_none_or(|last| at_s - last > 0.01) {
            clicks.push(at_s);
        }
    }
    clicks
}

/// Linear prediction of a stretch of sound (Levinson and Durbin), the newest sample's factor first.
fn predictor(sound: &[f32]) -> [f32; ORDER] {
    let count = sound.len().max(1) as f32;
    let window = |n: usize| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / count).cos();
    let windowed: Vec<f32> = sound.iter().enumerate().map(|(n, s)| s * window(n)).collect();
    let correlation =
        |lag: usize| -> f32 { windowed.get(lag..).unwrap_or_default().iter().zip(&windowed).map(|(a, b)| a * b).sum() };
    // A floor of noise 30 dB below the sound: more would only be predicted in the original.
    let mut error = correlation(0) * 1.001 + 1e-6;
    let mut factors = [0.0_f32; ORDER];
    for order in 0..ORDER {
        let mut reflection = correlation(order + 1);
        for (n, factor) in factors[..order].iter().enumerate() {
            reflection -= factor * correlation(order - n);
        }
        reflection /= error;
        let before = factors;
        factors[order] = reflection;
        for n in 0..order {
            factors[n] = before[n] - reflection * before[order - 1 - n];
        }
        error *= 1.0 - reflection * reflection;
    }
    factors
}

/// The level of the loud parts: nine tenths of the steps of 20 ms are softer.
fn loudness(sound: &[f32]) -> f32 {
    let mut levels: Vec<f32> = sound.chunks(160).map(rms).collect();
    levels.sort_by(f32::total_cmp);
    levels.get(levels.len() * 9 / 10).copied().unwrap_or(0.0)
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
