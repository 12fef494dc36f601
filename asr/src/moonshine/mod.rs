//! Moonshine: a recognizer of English whose cost follows the length of what it hears.
//!
//! Raw samples in, no spectrogram, no padding to 30 s. Each decoder owns its two sessions (encoder, decoder
//! with key/value cache) and runs on one `asr-N` thread. `decode` is the loop, `tokens` the spelling,
//! `attention` opens the graph so that it shows where it listens, `align` makes word times of that.
//! Source: Moonshine tiny (English), MIT, in ONNX Runtime's own file format.

mod align;
mod attention;
mod decode;
mod tokens;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use self::{decode::Greedy, tokens::Vocabulary};
use crate::{
    onnx::{self, Library},
    recognizer::{Decoder, Error, Info, Recognizer},
};

/// Moonshine's weights on disk, proven to load. Decoders read them anew, so that no second copy stays in
/// memory beside the sessions' own.
#[derive(Debug)]
pub struct Moonshine {
    info: Info,
    library: Library,
    folder: PathBuf,
    vocabulary: Arc<Vocabulary>,
    /// The decoder that proved the files, waiting for the first worker.
    proven: Mutex<Option<Greedy>>,
}

impl Moonshine {
    /// Loads `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin` from a folder and decodes a
    /// moment of silence with them. The folder's name is the model's.
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing, cut, or not what its name says.
    pub fn load(library: &Library, folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tokenizer.bin");
        let vocabulary = Vocabulary::parse(&onnx::read_model(&path)?).map_err(|why| onnx::model_error(&path, why))?;
        let vocabulary = Arc::new(vocabulary);
        let proven = Greedy::load(library, folder, Arc::clone(&vocabulary))?;
        let model =
            folder.file_name().map_or_else(|| "moonshine".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self {
            info: Info { engine: "moonshine", model, languages: vec!["en".to_owned()], window_max_s: 20 },
            library: library.clone(),
            folder: folder.to_owned(),
            vocabulary,
            proven: Mutex::new(Some(proven)),
        })
    }
}

impl Recognizer for Moonshine {
    fn info(&self) -> &Info {
        &self.info
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, Error> {
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner).take();
        let decoder = match proven {
            Some(decoder) => decoder,
            None => Greedy::load(&self.library, &self.folder, Arc::clone(&self.vocabulary))?,
        };
        Ok(Box::new(decoder))
    }
}
