//! Signal arithmetic on plain slices of f32: resampling, levels, mixing and the tones of the telephone.

pub mod detect;
pub mod level;
pub mod mix;
pub mod noise;
pub mod progress;
pub mod resample;
pub mod tone;
