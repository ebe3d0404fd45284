//! The methods whose end is announced, and who still calls them.

pub mod service;
