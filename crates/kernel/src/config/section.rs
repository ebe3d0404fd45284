//! Configuration sections of modules, stored by type.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use super::source::{Reader, Variable};

/// A configuration section of a module, with its variables.
pub trait Section: Any + fmt::Debug + Send + Sync {
    /// The variables.
    const VARIABLES: &'static [Variable];

    /// Reads the section. An invalid value is recorded in `read` and replaced by a default, so that all errors are
    /// reported together.
    fn read(read: &mut Reader) -> Self;
}

/// A type-erased reader of a section.
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

trait Value: Any + fmt::Debug + Send + Sync {}

impl<S: Section> Value for S {}

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
