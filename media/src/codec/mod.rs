//! Between samples and the bytes of one codec: no containers, no clocks, no threads.

pub mod g711;
pub mod g722;
pub mod l16;
pub mod opus;
pub mod pcm;
pub mod raw;
pub mod voice;
