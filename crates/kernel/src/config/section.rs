//! Sections of the configuration that modules add.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use super::source::{Reader, Variable};

/// A section of the configuration, read from variables of its own.
pub trait Section: Any + fmt::Debug + Send + Sync {
    /// The variables.
    const VARIABLES: &'static [Variable];

    /// Reads the section. An invalid value is recorded in `read`, and the section continues with a default, so that all
    /// faults are found at once.
    fn read(read: &mut Reader) -> Self;
}

/// Reads a section without knowing its type.
#[derive(Debug, Clone, Copy)]
pub struct SectionReader {
    id: TypeId,
    pub(crate) variables: &'static [Variable],
    read: fn(&mut Reader) -> Arc<dyn Value>,
}

impl SectionReader {
    /// Returns the reader of a section.
    pub fn of<S: Section>() -> Self {
        Self { id: TypeId::of::<S>(), variables: S::VARIABLES, read: |read| Arc::new(S::read(read)) }
    }
}

/// A type-erased section.
trait Value: Any + fmt::Debug + Send + Sync {}

impl<S: Section> Value for S {}

/// The sections of all modules, by type.
#[derive(Debug, Clone)]
pub(super) struct Sections(HashMap<TypeId, Arc<dyn Value>>);

impl Sections {
    pub(super) fn read(sections: &[SectionReader], read: &mut Reader) -> Self {
        Self(sections.iter().map(|section| (section.id, (section.read)(read))).collect())
    }

    pub(super) fn get<S: Section>(&self) -> &S {
        let value = self.0.get(&TypeId::of::<S>()).and_then(|value| {
            let value: &dyn Any = &**value;
            value.downcast_ref()
        });
        value.unwrap_or_else(|| panic!("no module has the section {}", type_name::<S>()))
    }
}
