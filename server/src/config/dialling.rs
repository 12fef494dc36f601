//! `[dialling]` and `[numbering]`: what may be dialled out, and how numbers of this country are read. Both are kept
//! where they are obeyed.

pub use bot::routing::{Home as Numbering, dialling::Rules as Dialling};

/// What makes no sense: the key, and why.
pub(super) fn fault(dialling: &Dialling, numbering: &Numbering) -> Option<(String, String)> {
    let dialling = dialling.fault().map(|(key, why)| (format!("dialling.{key}"), why.to_owned()));
    dialling.or_else(|| numbering.fault().map(|(key, why)| (format!("numbering.{key}"), why.to_owned())))
}
