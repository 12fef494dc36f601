//! The nodes of the graph, one file each: what it does, in which format, and what it reports.

pub mod capture;
pub mod comfort;
pub mod denoise;
pub mod frames;
pub mod gain;
#[cfg(test)]
pub(crate) mod harness;
pub mod level;
pub mod mixer;
pub mod playout;
pub mod progress;
pub mod receive;
pub mod resample;
pub mod send;
pub mod tap;
pub mod tone;
