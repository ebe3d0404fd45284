//! Mainstay: the production back end every product team rebuilds.

pub mod contract;
