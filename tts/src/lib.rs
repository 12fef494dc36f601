//! From text to speech: voices, the speech worker, visemes.
//!
//! Nothing is built here so far: the server listens and does not speak. The package holds its place, and the
//! arrows between packages hold for it already.
