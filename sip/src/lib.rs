//! The telephone: SIP endpoint, dialogs, SDP, digest, transfer.
//!
//! Nothing is built here so far: calls arrive over WebSocket and HTTP. The package holds its place, and the
//! arrows between packages hold for it already.
