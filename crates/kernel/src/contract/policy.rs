//! Method policies, which the contract is checked with when it is compiled and when a server starts.

pub use mainstay_policy::*;

#[cfg(test)]
pub(crate) mod tests;
