//! The nodes of the graph, one file each: what it does, in which format, and what it reports.

pub mod comfort;
pub mod denoise;
pub mod gain;
#[cfg(test)]
mod harness;
pub mod level;
pub mod mixer;
pub mod playout;
pub mod resample;
pub mod tap;
pub mod tone;
