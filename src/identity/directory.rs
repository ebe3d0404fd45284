//! People and their accounts, for the modules of a team: who a user is, and who belongs to an account.

pub mod model;
pub mod ops;
