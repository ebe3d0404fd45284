//! Sections of the configuration that modules add.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
};

use super::source::{Reader, Variable};

/// A section of the configuration, read from variables of its own.
pub trait Section: Any + fmt::Debug + Clone + Send + Sync {
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
    read: fn(&mut Reader) -> Box<dyn Value>,
}

impl SectionReader {
    /// Returns the reader of a section.
    pub fn of<S: Section>() -> Self {
        Self { id: TypeId::of::<S>(), variables: S::VARIABLES, read: |read| Box::new(S::read(read)) }
    }
}

/// A section without its type.
trait Value: fmt::Debug + Send + Sync {
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
    fn boxed_clone(&self) -> Box<dyn Value>;
}

impl<S: Section> Value for S {
    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn boxed_clone(&self) -> Box<dyn Value> {
        Box::new(self.clone())
    }
}

/// The sections of all modules, by type.
#[derive(Debug)]
pub(super) struct Sections(HashMap<TypeId, Box<dyn Value>>);

impl Clone for Sections {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|(id, value)| (*id, value.boxed_clone())).collect())
    }
}

impl Sections {
    pub(super) fn read(sections: &[SectionReader], read: &mut Reader) -> Self {
        Self(sections.iter().map(|section| (section.id, (section.read)(read))).collect())
    }

    pub(super) fn get<S: Section>(&self) -> &S {
        let value = self.0.get(&TypeId::of::<S>()).and_then(|value| (**value).any().downcast_ref());
        value.unwrap_or_else(|| panic!("no module has the section {}", type_name::<S>()))
    }

    pub(super) fn get_mut<S: Section>(&mut self) -> &mut S {
        let value = self.0.get_mut(&TypeId::of::<S>()).and_then(|value| (**value).any_mut().downcast_mut());
        value.unwrap_or_else(|| panic!("no module has the section {}", type_name::<S>()))
    }
}
