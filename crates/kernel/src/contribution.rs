//! Values that modules add for other modules.

use std::any::Any;

/// The values, each of a type of the module that collects them.
#[derive(Default)]
pub struct Contributions(Vec<Box<dyn Any + Send + Sync>>);

debug_fields!(Contributions);

impl Contributions {
    pub(crate) fn add<T: Any + Send + Sync>(&mut self, value: T) {
        self.0.push(Box::new(value));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Returns the values of a type, in the order of registration.
    pub fn all<T: Any>(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|value| value.downcast_ref())
    }
}
