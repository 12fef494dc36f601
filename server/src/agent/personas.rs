//! The personas of this server: read and checked when it starts, from the folder that the configuration names.
//!
//! A file that is wrong keeps the server from starting, with its line: an agent that is silent on the telephone is noticed
//! too late. Blocking; only at the start.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bot::{
    persona::{BUILT_IN, BadPersona, FILE_BYTES_MAX, Persona},
    routing::destination::Target,
};

use crate::config::{Config, Llm, Numbers};

/// Files of a folder that are read at most: nobody has so many personas.
const FILES_MAX: usize = 1_000;

/// Why the personas cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPersonas {
    /// The folder, or a file in it, cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is wrong.
    #[error("{}: {bad}", path.display())]
    Bad {
        /// Which.
        path: PathBuf,
        /// What is wrong, with the line.
        bad: BadPersona,
    },
    /// A persona has a special model, and nothing asks one.
    #[error("models of the persona {0:?}: nothing here asks a special model; name it as primary or fast")]
    Unasked(String),
    /// Somebody names what there is none of.
    #[error("{who} names the {what} {name:?}, and there is none: there are {known}")]
    Unknown {
        /// A key of the configuration, or a persona.
        who: String,
        /// `persona` or `language model`.
        what: &'static str,
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
}

/// The personas, by name.
pub(super) struct Personas {
    by_name: BTreeMap<String, Arc<Persona>>,
    usual: String,
}

impl Personas {
    /// Those of the configured folder, and the one that is built in.
    pub(super) fn load(config: &Config) -> Result<Self, BadPersonas> {
        let mut by_name = BTreeMap::from([(BUILT_IN.to_owned(), Arc::new(Persona::built_in()))]);
        for path in config.agent.personas.as_deref().map(files).transpose()?.unwrap_or_default() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = read(&path).map_err(|error| BadPersonas::Read { path: path.clone(), error })?;
            let persona = Persona::parse(&name, &text).map_err(|bad| BadPersonas::Bad { path, bad })?;
            by_name.insert(name, Arc::new(persona));
        }
        let personas = Self { by_name, usual: config.agent.persona.clone() };
        personas.check(&config.numbers)?;
        personas.check_models(&config.llm)?;
        Ok(personas)
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Persona>> {
        self.by_name.values()
    }

    /// The one of this name, or the usual one.
    pub(super) fn find(&self, name: Option<&str>) -> Option<Arc<Persona>> {
        self.by_name.get(name.unwrap_or(&self.usual)).cloned()
    }

    /// What they are called.
    pub(super) fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    /// Whoever is named somewhere is there.
    fn check(&self, numbers: &Numbers) -> Result<(), BadPersonas> {
        let of_numbers = numbers.0.iter().enumerate().filter_map(|(at, entry)| match &entry.to {
            Target::Agent(Some(name)) => Some((format!("numbers[{at}].to"), name)),
            _ => None,
        });
        let of_personas = self.by_name.values().flat_map(|persona| {
            persona.hand_over.iter().map(move |name| (format!("hand_over of the persona {:?}", persona.name), name))
        });
        let usual = std::iter::once(("agent.persona".to_owned(), &self.usual));
        match usual.chain(of_numbers).chain(of_personas).find(|(_, name)| !self.by_name.contains_key(*name)) {
            Some((who, name)) => {
                let (name, known) = (name.clone(), self.names().join(", "));
                Err(BadPersonas::Unknown { who, what: "persona", name, known })
            }
            None => Ok(()),
        }
    }

    /// Models that a persona names are configured.
    fn check_models(&self, models: &[Llm]) -> Result<(), BadPersonas> {
        for persona in self.all() {
            let own = &persona.models;
            if own.special.is_some() {
                return Err(BadPersonas::Unasked(persona.name.clone()));
            }
            for name in [&own.primary, &own.fast].into_iter().flatten() {
                if !models.iter().any(|model| model.name() == name) {
                    let known: Vec<&str> = models.iter().map(Llm::name).collect();
                    let who = format!("models of the persona {:?}", persona.name);
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    return Err(BadPersonas::Unknown { who, what: "language model", name: name.clone(), known });
                }
            }
        }
        Ok(())
    }
}

/// The files of a folder that describe personas, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, BadPersonas> {
    let unreadable = |error| BadPersonas::Read { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(unreadable(io::Error::other(format!("there are more than {FILES_MAX} personas"))));
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Agent;

    fn load(files: &[(&str, &str)], persona: &str) -> Result<Personas, BadPersonas> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let agent = Agent { personas: Some(folder.path().to_owned()), persona: persona.to_owned(), ..Agent::default() };
        Personas::load(&Config { agent, ..Config::default() })
    }

    #[test]
    fn without_a_folder_there_is_the_one_that_is_built_in() {
        let personas = Personas::load(&Config::default()).unwrap();
        assert_eq!(personas.names(), [BUILT_IN]);
        assert!(personas.find(None).is_some() && personas.find(Some("nobody")).is_none());
    }

    #[test]
    fn a_persona_that_is_wrong_is_refused_with_its_file() {
        let error = load(&[("office.toml", "tone = 7\n")], BUILT_IN).err().unwrap().to_string();
        assert!(error.contains("office.toml"), "{error}");
    }

    #[test]
    fn whoever_is_named_must_be_there() {
        let error = load(&[("notes.txt", "no persona")], "office").err().unwrap().to_string();
        assert!(
            error.starts_with("agent.persona names the persona \"office\"") && error.ends_with("default"),
            "{error}"
        );
        let entry = "[[numbers]]\nnumber = \"1\"\nto = \"agent:office\"\n";
        let config = Config::parse(Path::new("test.toml"), entry, []).unwrap();
        let error = Personas::load(&config).err().unwrap().to_string();
        assert!(error.starts_with("numbers[0].to"), "{error}");
        let error = load(&[("office.toml", "[models]\nprimary = \"large\"\n")], BUILT_IN).err().unwrap().to_string();
        assert!(error.contains("language model \"large\"") && error.ends_with("there are none"), "{error}");
        let error = load(&[("office.toml", "[models]\nspecial = \"law\"\n")], BUILT_IN).err().unwrap().to_string();
        assert!(error.contains("\"office\"") && error.contains("primary or fast"), "{error}");
    }

    #[test]
    fn there_is_no_such_folder() {
        let agent = Agent { personas: Some(PathBuf::from("/nowhere/personas")), ..Agent::default() };
        let config = Config { agent, ..Config::default() };
        assert!(matches!(Personas::load(&config), Err(BadPersonas::Read { .. })));
    }
}
