//! Fills what never came: the last period of the voice again, fading out, for codecs without a concealment.
//!
//! A voice barely changes within 20 ms, so its last pitch period, repeated, is heard as the voice itself; longer
//! it would buzz, so it fades to silence. When sound comes back it is faded in over the repetition, which hides
//! the seam. Also ends a spurt of talk without a click. Runs on the engine's thread; no allocation after `new`.

/// Pitches looked for, as periods: 400 Hz, a child, down to 66 Hz, a deep man.
const SHORTEST_US: usize = 2_500;
const LONGEST_US: usize = 15_000;

/// What two periods are compared over: a little more than the longest.
const COMPARED_US: usize = 20_000;

/// The repetition keeps its level for so long, because a single lost packet should not be heard as a dip.
const LEVEL_MS: usize = 10;

/// By then it is silent; longer it sounds like a machine.
const SILENT_MS: usize = 60;

/// Sound that returns is faded in over so long.
const SEAM_MS: usize = 5;

/// Remembers what was played and continues it.
pub struct Concealer {
    rate_hz: usize,
    history: Box<[f32]>,
    cycle: Box<[f32]>,
    period: usize,
    /// Samples filled since the last that were heard; zero while sound comes.
    filled: usize,
}

impl Concealer {
    /// For mono sound of `rate_hz`; silence was before it.
    pub fn new(rate_hz: u32) -> Self {
        let rate_hz = rate_hz as usize;
        let longest = samples_of_us(rate_hz, LONGEST_US);
        let history = longest + samples_of_us(rate_hz, COMPARED_US) + 1;
        Self { rate_hz, history: vec![0.0; history].into(), cycle: vec![0.0; longest + 1].into(), period: 1, filled: 0 }
    }

    /// Takes sound that is to be played, and fades it in when something was filled before it.
    pub fn heard(&mut self, sound: &mut [f32]) {
        if self.filled > 0 {
            let seam = (self.rate_hz * SEAM_MS / 1000).min(sound.len());
            for (at, sample) in sound[..seam].iter_mut().enumerate() {
                let share = (at + 1) as f32 / (seam + 1) as f32;
                *sample = *sample * share + self.next() * (1.0 - share);
            }
            self.filled = 0;
        }
        self.remember(sound);
    }

    /// Takes sound that a codec made up for a loss: its seams are the codec's own.
    pub fn remember(&mut self, sound: &[f32]) {
        self.filled = 0;
        let kept = sound.len().min(self.history.len());
        let all = self.history.len();
        self.history.copy_within(kept.., 0);
        self.history[all - kept..].copy_from_slice(&sound[sound.len() - kept..]);
    }

    /// Continues what was heard, less and less.
    pub fn fill(&mut self, out: &mut [f32]) {
        if self.filled == 0 {
            self.find_period();
        }
        for sample in out {
            *sample = self.next();
        }
    }

    fn next(&mut self) -> f32 {
        let (level, silent) = (self.rate_hz * LEVEL_MS / 1000, self.rate_hz * SILENT_MS / 1000);
        let gain = match self.filled {
            filled if filled >= silent => return 0.0,
            filled if filled <= level => 1.0,
            filled => (silent - filled) as f32 / (silent - level) as f32,
        };
        let sample = self.cycle[self.filled % self.period] * gain;
        self.filled += 1;
        sample
    }

    fn find_period(&mut self) {
        let shortest = samples_of_us(self.rate_hz, SHORTEST_US);
        let longest = samples_of_us(self.rate_hz, LONGEST_US);
        let compared = samples_of_us(self.rate_hz, COMPARED_US);
        // Above telephone rates every second or sixth sample tells a pitch as well.
        let stride = (self.rate_hz / 8_000).max(1);
        self.period = best_lag(&self.history, compared, (shortest..=longest).step_by(stride), stride).0;
        let end = self.history.len();
        let (period, seam) = (self.period, self.period / 4);
        self.cycle[..period].copy_from_slice(&self.history[end - period..]);
        // The end of the period is bent towards what came before its start, so that it closes.
        for at in 0..seam {
            let share = (at + 1) as f32 / (seam + 1) as f32;
            let before = self.history[end - period - seam + at];
            let last = &mut self.cycle[period - seam + at];
            *last = *last * (1.0 - share) + before * share;
        }
    }
}

/// The lag at which the last `compared` samples are most like those before them, and how alike, -1 to 1.
/// Looks at every `stride`th sample.
pub(super) fn best_lag(
    sound: &[f32],
    compared: usize,
    lags: impl Iterator<Item = usize>,
    stride: usize,
) -> (usize, f32) {
    let end = sound.len();
    let last = &sound[end - compared..];
    let energy: f32 = last.iter().step_by(stride).map(|sample| sample * sample).sum();
    let mut best = (1, f32::MIN);
    for lag in lags {
        let before = &sound[end - compared - lag..end - lag];
        let (mut product, mut power) = (0.0, 0.0);
        for (a, b) in last.iter().zip(before).step_by(stride) {
            product += a * b;
            power += b * b;
        }
        let alike = product / (energy * power).sqrt().max(1e-9);
        if alike > best.1 {
            best = (lag, alike);
        }
    }
    best
}

fn samples_of_us(rate_hz: usize, micros: usize) -> usize {
    rate_hz * micros / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(rate_hz: usize, samples: usize) -> Vec<f32> {
        let cycle = |at: usize, harmonic: usize| {
            (std::f32::consts::TAU * (140 * harmonic * at) as f32 / rate_hz as f32).sin() / harmonic as f32
        };
        (0..samples).map(|at| 0.3 * (1..6).map(|harmonic| cycle(at, harmonic)).sum::<f32>()).collect()
    }

    fn rms(sound: &[f32]) -> f32 {
        (sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32).sqrt()
    }

    #[test]
    fn a_lost_packet_of_voice_is_continued_so_that_it_is_hardly_missed() {
        for rate_hz in [8_000, 16_000, 48_000] {
            let packet = rate_hz / 50;
            let mut truth = voice(rate_hz, packet * 6);
            let mut concealer = Concealer::new(rate_hz as u32);
            concealer.heard(&mut truth[..packet * 4]);
            let mut made = vec![0.0; packet / 2];
            concealer.fill(&mut made);
            let wrong: Vec<_> = made.iter().zip(&truth[packet * 4..]).map(|(made, true_)| made - true_).collect();
            let share = rms(&wrong) / rms(&made);
            assert!(share < 0.35, "{share} of error at {rate_hz} Hz");
        }
    }

    #[test]
    fn it_fades_to_silence_and_returns_without_a_click() {
        let mut sound = voice(8_000, 800);
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&mut sound[..480]);
        let mut made = vec![0.0; 640];
        concealer.fill(&mut made);
        assert!(rms(&made[..80]) > 0.1);
        assert!(rms(&made[400..480]) < 0.3 * rms(&made[..80]));
        assert!(made[480..].iter().all(|sample| *sample == 0.0), "silent after 60 ms");
        let mut back = sound[480..].to_vec();
        concealer.heard(&mut back);
        assert!(back[0].abs() < 0.05 && back[60..] == sound[540..]);
        let whole = [&sound[..480], &made, &back].concat();
        let usual = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        let worst = whole.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(worst <= 1.3 * usual, "a step of {worst}, the voice's own are {usual}");
    }

    #[test]
    fn silence_is_continued_by_silence() {
        let mut made = [1.0; 300];
        Concealer::new(8_000).fill(&mut made);
        assert!(made.iter().all(|sample| *sample == 0.0));
    }
}
