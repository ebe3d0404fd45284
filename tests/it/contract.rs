//! Rules of the house that memory would not keep.

mod answers;
mod catalogue;
mod layers;
mod methods;
mod migrations;
mod readme;
mod schema;
