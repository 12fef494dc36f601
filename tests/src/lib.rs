//! The test kit: fixtures, virtual time, and parts that stand in for the world.

pub mod fixture;
pub mod rehearsal;
