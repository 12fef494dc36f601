//! The list of models: what each is for, which files it has, where they come from, what they must hash to.
//!
//! Pure: text in, values out. `models.toml` is compiled in and read on first use; nothing here touches a disk
//! or a network. Names and paths are checked when the list is read, so that nobody who joins them to a folder
//! later can be led out of it.

use std::{fmt, sync::LazyLock};

use serde::{Deserialize, Deserializer, de::Error as _};

/// All models that can be fetched and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    models: Vec<Model>,
}

impl Manifest {
    /// The list compiled into this binary.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Manifest> = LazyLock::new(|| {
            Manifest::parse(include_str!("../../models.toml")).expect("the compiled-in list is read by a test")
        });
        &BUILTIN
    }

    /// Reads a list in the form of `models.toml`.
    ///
    /// # Errors
    /// [`BadManifest`] says which entry is wrong.
    pub fn parse(text: &str) -> Result<Self, BadManifest> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            model: Vec<Model>,
        }
        let document: Document = toml::from_str(text).map_err(|error| BadManifest(error.to_string()))?;
        for (at, model) in document.model.iter().enumerate() {
            if document.model[..at].iter().any(|earlier| earlier.name == model.name) {
                return Err(BadManifest(format!("{} is listed twice", model.name)));
            }
            for (at, file) in model.files.iter().enumerate() {
                if file.source.is_empty() {
                    return Err(BadManifest(format!("{}/{} has no source", model.name, file.path)));
                }
                let same = |earlier: &File| earlier.path == file.path && earlier.platform == file.platform;
                if model.files[..at].iter().any(same) {
                    return Err(BadManifest(format!("{}/{} is listed twice", model.name, file.path)));
                }
            }
        }
        Ok(Self { models: document.model })
    }

    /// Every model, in the order of the list.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == *name)
    }

    /// What the server needs to listen at all.
    pub fn default_set(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.default)
    }
}

/// One model or library.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name on the command line and its folder.
    pub name: Name,
    /// What it is for, in a few words.
    pub purpose: String,
    /// SPDX identifier.
    pub licence: String,
    /// ISO 639-1 codes; `*` for about a hundred; empty where language does not matter.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Whether it is fetched when nothing is named.
    #[serde(default)]
    pub default: bool,
    #[serde(rename = "file")]
    files: Vec<File>,
}

impl Model {
    /// The files wanted on this machine; none when the model is not built for it.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.platform.as_deref().is_none_or(|platform| platform == PLATFORM))
    }

    /// Size on this machine.
    pub fn bytes(&self) -> u64 {
        self.files().map(|file| file.bytes).sum()
    }
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// File name inside the model's folder.
    pub path: Name,
    /// The platform it is built for (as [`PLATFORM`]); `None` for any.
    #[serde(default)]
    pub platform: Option<String>,
    /// Exact size.
    pub bytes: u64,
    /// What its content hashes to.
    pub sha256: Sha256,
    /// Where it comes from, first choice first.
    pub source: Vec<Source>,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// The file itself.
    Https {
        /// Its address.
        url: String,
    },
    /// A member of a wheel at the Python package index that pip is configured with.
    Pypi {
        /// The project's name.
        package: String,
        /// Its exact version.
        version: String,
        /// The wheel's file name; `*` stands for anything.
        wheel: Pattern,
        /// The member's path; `*` stands for anything.
        member: Pattern,
    },
}

/// This machine, as `platform` names it: `linux-x86_64`, `linux-aarch64`, `macos-aarch64`.
pub const PLATFORM: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "linux-x86_64"
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    "linux-aarch64"
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    "macos-aarch64"
} else {
    "unlisted"
};

/// A name that is safe as one component of a path: no separator, no leading dot, not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name, when it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = !text.is_empty() && text.len() <= 128 && !text.starts_with('.') && text.chars().all(plain);
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a plain file name")))
    }
}

/// A SHA-256 digest; shown and read as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a SHA-256 has 64 hexadecimal digits"))
    }
}

/// A name in which `*` stands for any run of characters, none included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern as written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `name` fits.
    pub fn fits(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|start| name.strip_prefix(start)) else { return false };
        let mut pieces = pieces.peekable();
        if pieces.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The list of models cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of models is wrong: {0}")]
pub struct BadManifest(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_list_is_sound_and_every_web_source_is_encrypted() {
        let manifest = Manifest::builtin();
        let names: Vec<_> = manifest.default_set().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["onnxruntime", "silero-vad", "moonshine-tiny-en", "smart-turn-v3"]);
        for file in manifest.models().iter().flat_map(|model| &model.files) {
            assert!(file.bytes > 0);
            for source in &file.source {
                match source {
                    Source::Https { url } => assert!(url.starts_with("https://"), "{url}"),
                    Source::Pypi { version, wheel, .. } => {
                        assert!(wheel.to_string().contains(&format!("-{version}-")), "{wheel}");
                    }
                }
            }
        }
    }

    #[test]
    fn whisper_files_are_named_after_their_model() {
        for model in Manifest::builtin().models() {
            if let Some(size) = model.name.as_str().strip_prefix("whisper-") {
                let files: Vec<_> = model.files().map(|file| file.path.to_string()).collect();
                assert_eq!(files, [format!("ggml-{size}.bin")]);
            }
        }
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b", "ä", "a\0"] {
            assert_eq!(Name::parse(name), None, "{name:?}");
        }
        let text = include_str!("../../models.toml").replacen("path = \"silero_vad.onnx\"", "path = \"../x\"", 1);
        assert!(Manifest::parse(&text).unwrap_err().to_string().contains("not a plain file name"));
    }

    #[test]
    fn a_model_or_file_listed_twice_is_refused() {
        let text = include_str!("../../models.toml");
        let twice = text.replacen("name = \"silero-vad\"", "name = \"onnxruntime\"", 1);
        assert!(Manifest::parse(&twice).unwrap_err().to_string().contains("onnxruntime is listed twice"));
        let twice = text.replacen("path = \"encoder_model.ort\"", "path = \"tokenizer.bin\"", 1);
        assert!(Manifest::parse(&twice).unwrap_err().to_string().contains("tokenizer.bin is listed twice"));
    }

    #[test]
    fn a_pattern_fits_the_whole_name_only() {
        for (pattern, name, fits) in [
            ("a.whl", "a.whl", true),
            ("a.whl", "a.whl.asc", false),
            ("*/x.onnx", "p/q/x.onnx", true),
            ("*/x.onnx", "x.onnx", false),
            ("a-*_x86_64.whl", "a-manylinux_2_34_x86_64.whl", true),
            ("a-*_x86_64.whl", "a-manylinux_2_34_aarch64.whl", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(Pattern::new(pattern).fits(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_digest_reads_back_as_it_is_shown() {
        let digest = Sha256(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(Sha256::parse(&digest.to_string()), Some(digest));
        assert_eq!(Sha256::parse("ab"), None);
        assert_eq!(Sha256::parse(&"g".repeat(64)), None);
        assert_eq!(Sha256::parse(&"é".repeat(32)), None);
    }
}
