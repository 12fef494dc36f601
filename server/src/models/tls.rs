//! The cryptography behind every outgoing encrypted connection.
//!
//! Certificates are the system's (or those of `SSL_CERT_FILE`); the arithmetic is ring's.

/// Makes ring the process-wide provider; needed once before the first HTTP client is built. Safe to repeat.
pub fn install() {
    // An error means that one is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
