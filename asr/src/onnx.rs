//! ONNX Runtime: the one file that knows `ort`.
//!
//! The library is loaded from a named file, once per process; sessions run on the calling thread alone (the
//! pool decides how many run at once) and keep no arena, so that a long window does not stay in memory for
//! ever. Files are judged before native code sees them: what is missing, cut or of another kind is
//! [`Error::Model`] with the file's name. Called on the voice-activity and `asr-N` threads; never on a
//! real-time one.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ort::{
    environment::Environment,
    ep,
    session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue, builder::SessionBuilder},
    value::{DynValue, TensorRef},
};

use crate::recognizer::Error;

/// The loaded ONNX Runtime. Cheap to clone; the first one opened serves the whole process.
#[derive(Clone, Debug)]
pub struct Library {
    environment: Environment,
    path: PathBuf,
}

/// One environment may exist per process, and a library once mapped cannot be exchanged.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

impl Library {
    /// Loads ONNX Runtime (1.24 or newer) from a shared library, unless the process already has one.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is missing, cut, no shared library, or too old. A failed attempt leaves
    /// nothing behind: another file may be tried.
    pub fn open(path: &Path) -> Result<Self, Error> {
        check_library(path)?;
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(library) = loaded.as_ref() {
            if library.path != path {
                tracing::debug!(asked = %path.display(), serving = %library.path.display(), "ONNX Runtime is loaded already");
            }
            return Ok(library.clone());
        }
        let environment = ort::init_from(path)
            .map_err(|error| model_error(path, error))?
            .with_name("harmony")
            .with_telemetry(false)
            .build()
            .map_err(|error| model_error(path, error))?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        let library = Self { environment, path: path.to_owned() };
        *loaded = Some(library.clone());
        Ok(library)
    }

    /// Where the library that serves the process was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Builds a session from a model held in memory; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are no model that the library accepts.
    pub fn session(&self, path: &Path, model: &[u8]) -> Result<Session, Error> {
        check_model(path, model)?;
        let inner = self
            .builder()
            .and_then(|mut builder| builder.commit_from_memory(model))
            .map_err(|error| model_error(path, error))?;
        Ok(Session { inner })
    }

    /// One thread per session: the caller's. Shapes change with every window, so no memory pattern is kept.
    fn builder(&self) -> ort::Result<SessionBuilder> {
        let builder = ort::session::Session::builder(&self.environment)?
            .with_execution_providers([ep::CPU::default().with_arena_allocator(false).build()])?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?
            .with_flush_to_zero()?;
        Ok(builder)
    }
}

/// One model, ready to run on one thread at a time.
#[derive(Debug)]
pub struct Session {
    inner: ort::session::Session,
}

impl Session {
    /// Names of the graph's inputs, in the order that [`Self::run`] takes them.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inner.inputs().iter().map(ort::value::Outlet::name)
    }

    /// Names of the graph's outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.inner.outputs().iter().map(ort::value::Outlet::name)
    }

    /// Runs the graph on `inputs`, in the graph's order, and hands back the selected outputs, in the selection's.
    ///
    /// # Errors
    /// [`Error::Engine`] with the library's words; the session stays usable.
    pub fn run(&mut self, inputs: &[Input<'_>], select: &Selection) -> Result<Vec<Tensor>, Error> {
        let values = inputs
            .iter()
            .map(Input::value)
            .collect::<ort::Result<Vec<SessionInputValue<'_>>>>()
            .map_err(|error| engine_error(&error))?;
        let mut outputs =
            self.inner.run_with_options(values.as_slice(), &select.options).map_err(|error| engine_error(&error))?;
        select
            .names
            .iter()
            .map(|name| outputs.remove(name).map(Tensor).ok_or_else(|| Error::Engine(format!("no output {name}"))))
            .collect()
    }
}

/// Which outputs a run computes. What is not selected is neither computed nor copied where the graph allows.
pub struct Selection {
    names: Vec<String>,
    options: RunOptions<HasSelectedOutputs>,
}

impl std::fmt::Debug for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

impl Selection {
    /// Selects outputs by name.
    ///
    /// # Errors
    /// [`Error::Engine`] when the library cannot make the options.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let selector = names.iter().fold(OutputSelector::no_default(), OutputSelector::with);
        let options = RunOptions::new().map_err(|error| engine_error(&error))?.with_outputs(selector);
        Ok(Self { names, options })
    }
}

/// One input of a run: borrowed numbers with their shape, or a tensor that an earlier run gave.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Numbers, row-major.
    F32(&'a [usize], &'a [f32]),
    /// Whole numbers, row-major.
    I64(&'a [usize], &'a [i64]),
    /// Flags, row-major.
    Bool(&'a [usize], &'a [bool]),
    /// An earlier output, passed on without a copy.
    Kept(&'a Tensor),
}

impl<'a> Input<'a> {
    fn value(&self) -> ort::Result<SessionInputValue<'a>> {
        Ok(match *self {
            Self::F32(shape, data) => TensorRef::from_array_view((shape, data))?.into(),
            Self::I64(shape, data) => TensorRef::from_array_view((shape, data))?.into(),
            Self::Bool(shape, data) => TensorRef::from_array_view((shape, data))?.into(),
            Self::Kept(tensor) => (&tensor.0).into(),
        })
    }
}

/// A result of a run. Owned; lives as long as it is kept.
#[derive(Debug)]
pub struct Tensor(DynValue);

impl Tensor {
    /// Shape and numbers, row-major.
    ///
    /// # Errors
    /// [`Error::Engine`] when it holds something other than f32.
    pub fn f32s(&self) -> Result<(&[i64], &[f32]), Error> {
        let (shape, data) = self.0.try_extract_tensor::<f32>().map_err(|error| engine_error(&error))?;
        Ok((shape, data))
    }
}

/// Reads a whole model file, refusing what cannot be one.
///
/// # Errors
/// [`Error::Model`] when it cannot be read or is larger than any model that runs here (1 GiB).
pub fn read_model(path: &Path) -> Result<Vec<u8>, Error> {
    const LARGEST_BYTES: u64 = 1 << 30;
    let size = std::fs::metadata(path).map_err(|error| model_error(path, error))?.len();
    if size > LARGEST_BYTES {
        return Err(model_error(path, format!("{size} bytes are more than any model that runs here")));
    }
    std::fs::read(path).map_err(|error| model_error(path, error))
}

/// Refuses bytes that are neither of the two formats that the library reads.
fn check_model(path: &Path, model: &[u8]) -> Result<(), Error> {
    let flatbuffer = model.get(4..8) == Some(b"ORTM");
    // An ONNX file is a protobuf that begins with field 1 (ir_version), a varint.
    let protobuf = model.first() == Some(&0x08);
    if flatbuffer || protobuf { Ok(()) } else { Err(model_error(path, "neither an ONNX nor an ORT model")) }
}

/// Refuses a library that the dynamic loader would crash on: mapped beyond its end, a cut file kills the
/// process with SIGBUS instead of failing to load.
fn check_library(path: &Path) -> Result<(), Error> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).map_err(|error| model_error(path, error))?;
    let size = file.metadata().map_err(|error| model_error(path, error))?.len();
    let mut header = [0u8; 64];
    file.read_exact(&mut header).map_err(|_| model_error(path, "too short for a shared library"))?;
    if cfg!(target_os = "linux") {
        match elf_end(&header) {
            None => return Err(model_error(path, "not a 64-bit ELF library")),
            Some(end) if end > size => return Err(model_error(path, format!("cut: {size} of at least {end} bytes"))),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Where the section table of a little-endian 64-bit ELF file ends. Linkers write it last.
fn elf_end(header: &[u8; 64]) -> Option<u64> {
    if header[..6] != *b"\x7fELF\x02\x01" {
        return None;
    }
    let offset = u64::from_le_bytes(header[40..48].try_into().ok()?);
    let entry = u64::from(u16::from_le_bytes(header[58..60].try_into().ok()?));
    let count = u64::from(u16::from_le_bytes(header[60..62].try_into().ok()?));
    offset.checked_add(entry * count)
}

/// The file's fault, in one line.
pub(crate) fn model_error(path: &Path, why: impl Display) -> Error {
    let why: String = why.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Model { path: path.display().to_string(), why }
}

fn engine_error(error: &ort::Error) -> Error {
    Error::Engine(error.to_string())
}
