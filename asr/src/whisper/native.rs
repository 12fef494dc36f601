//! The calls into whisper.cpp that Rust cannot check: stopping a decode, before it begins or later, and taking over its
//! log.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_char, c_void},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use whisper_rs::{FullParams, WhisperState, WhisperSysContext, WhisperSysState};

use crate::recognizer::Error;

/// Decodes `audio`; `abort` is polled between computation steps, from whisper.cpp's own threads too.
///
/// # Errors
/// [`Error::Aborted`] when it was set, else [`Error::Engine`] with the engine's code.
pub(super) fn full(
    state: &mut WhisperState,
    mut parameters: FullParams<'_, '_>,
    audio: &[f32],
    abort: &AtomicBool,
) -> Result<(), Error> {
    let flag: *const AtomicBool = abort;
    // SAFETY: the pointer is read only by `asked_to_stop` during the call of `full` below, which borrows
    // `abort` for longer; the parameters that carry it are consumed by that call. An AtomicBool may be read
    // from any thread.
    unsafe {
        parameters.set_abort_callback(Some(asked_to_stop));
        parameters.set_abort_callback_user_data(flag.cast_mut().cast());
    }
    let done = state.full(parameters, audio);
    if abort.load(Ordering::Relaxed) {
        return Err(Error::Aborted);
    }
    done.map_err(|error| Error::Engine(error.to_string()))
}

/// Takes `audio` in with the audio context of `parameters`, and stops before anything is computed of it. Without this
/// whisper.cpp finds a language out with whatever audio context the window before had.
///
/// # Errors
/// [`Error::Engine`] with the engine's code.
pub(super) fn take_in(
    state: &mut WhisperState,
    mut parameters: FullParams<'_, '_>,
    audio: &[f32],
) -> Result<(), Error> {
    // SAFETY: `not_now` looks at nothing that it is given and may be called from any thread.
    unsafe { parameters.set_start_encoder_callback(Some(not_now)) };
    state.full(parameters, audio).map_err(|error| Error::Engine(error.to_string()))
}

unsafe extern "C" fn not_now(_: *mut WhisperSysContext, _: *mut WhisperSysState, _: *mut c_void) -> bool {
    false
}

unsafe extern "C" fn asked_to_stop(flag: *mut c_void) -> bool {
    // SAFETY: `full` passes a pointer to an AtomicBool that outlives the decode.
    unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}

/// Sends what whisper.cpp and ggml write to standard error to the log instead, at debug level.
pub(super) fn log_to_tracing() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `log` is callable from any thread for ever, needs no user data and does not unwind.
        unsafe { whisper_rs::set_log_callback(Some(log), std::ptr::null_mut()) }
    });
}

unsafe extern "C" fn log(_level: u32, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: whisper.cpp hands a string that ends in a zero byte and lives for the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    if !text.is_empty() {
        // A subscriber that panics must not unwind into C++.
        let _ = std::panic::catch_unwind(|| tracing::debug!(target: "whisper.cpp", "{text}"));
    }
}
