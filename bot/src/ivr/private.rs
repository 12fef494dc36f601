//! Text of a caller that no log may show.

use std::fmt;

/// Something a caller said, or who they are: a number, an address, a sentence. Its `Debug` tells its length alone.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Private(String);

impl Private {
    /// The text itself, for whoever must have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub fn into_inner(self) -> String {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> From<T> for Private {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private({})", self.0.chars().count())
    }
}
