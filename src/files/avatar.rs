//! Avatars: pictures of users, in the sizes that pages show.

pub mod model;
pub mod ops;
mod pages;
mod picture;

pub(super) use ops::Painter;
pub(super) use pages::pages;
