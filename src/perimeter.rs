//! THE stack.

pub mod answer;
