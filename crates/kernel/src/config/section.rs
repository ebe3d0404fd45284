//! Configuration sections of modules, stored by type.

use std::{any::Any, fmt, sync::Arc};

use http::Extensions;

use super::source::{Reader, Variable};

/// A configuration section of a module, with its variables.
pub trait Section: Any + fmt::Debug + Send + Sync {
    /// The variables.
    const VARIABLES: &'static [Variable];

    /// Reads the section. An invalid value is recorded in `read` and replaced by a default, so that all errors are
    /// reported together.
    fn read(read: &mut Reader) -> Self;
}

/// A type-erased reader of a section, which it adds to others in an `Arc`.
#[derive(Debug, Clone, Copy)]
pub struct SectionReader {
    pub(crate) variables: &'static [Variable],
    pub(super) read: fn(&mut Reader, &mut Extensions),
}

impl SectionReader {
    /// Returns the reader of a section.
    pub fn of<S: Section>() -> Self {
        Self { variables: S::VARIABLES, read: |read, sections| drop(sections.insert(Arc::new(S::read(read)))) }
    }
}
