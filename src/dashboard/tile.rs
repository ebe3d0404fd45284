//! Tiles: key figures and short lists on the home page of the console, which modules declare by
//! [`ShowsTiles::tile`](ops::ShowsTiles::tile).

pub mod cached;
pub mod model;
pub mod ops;
pub mod service;
