//! The error of a contract that does not compile.

use std::{fmt, io, path::Path};

/// A message for the author of the contract.
///
/// `Debug` prints the same message, because cargo shows it when `main` of a build script returns an error.
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }

    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self(format!("{action} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<protox::Error> for Error {
    /// With file, line and column, which its `Display` omits.
    fn from(error: protox::Error) -> Self {
        Self(format!("{error:?}"))
    }
}
