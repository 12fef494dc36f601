//! Signal arithmetic on plain slices of f32: resampling and levels.

pub mod level;
pub mod resample;
