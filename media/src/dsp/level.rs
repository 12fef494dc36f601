//! How loud samples are, in dB relative to full scale.
//!
//! A full-scale square wave has 0 dBFS, a full-scale sine -3 dBFS rms. Silence and an empty slice are minus
//! infinity, so that comparing with a threshold needs no special case.

/// Root mean square of `samples`, on the scale of samples; zero of none.
pub fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// Root mean square of `samples` in dBFS.
pub fn rms_dbfs(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return f32::NEG_INFINITY;
    }
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    (10.0 * (energy / samples.len() as f64).log10()) as f32
}

/// The largest magnitude in `samples` in dBFS.
pub fn peak_dbfs(samples: &[f32]) -> f32 {
    20.0 * samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs())).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_wave_at_half_scale_is_six_db_down() {
        let square: Vec<f32> = (0..100).map(|i| if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
        assert!((rms_dbfs(&square) + 6.0206).abs() < 1e-3);
        assert!((peak_dbfs(&square) + 6.0206).abs() < 1e-3);
    }

    #[test]
    fn a_full_scale_sine_is_three_db_below_its_peak() {
        let sine: Vec<f32> = (0..1000).map(|i| (i as f32 * std::f32::consts::TAU / 100.0).sin()).collect();
        assert!((rms_dbfs(&sine) + 3.0103).abs() < 1e-3);
        assert!(peak_dbfs(&sine).abs() < 1e-3);
    }

    #[test]
    fn silence_is_below_every_threshold() {
        assert_eq!(rms_dbfs(&[]), f32::NEG_INFINITY);
        assert_eq!(rms_dbfs(&[0.0; 10]), f32::NEG_INFINITY);
        assert_eq!(peak_dbfs(&[0.0; 10]), f32::NEG_INFINITY);
    }
}
