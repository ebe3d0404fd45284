//! Archives: objects that are written while their content is made, and expire. They belong to no account's files.

pub mod ops;
mod pages;
mod writer;

pub(super) use pages::pages;
