//! The chain of the audit log.
//!
//! ```text
//! entries, in the order of their transactions      e1      e2      e3
//! links                                             1 ◀──── 2 ◀──── 3     hash = SHA-256(hash before, number, id, digest)
//! checkpoints                                       *               *     MAC under a key of the server's secret
//! ```
//!
//! A scheduled task adds the links after the commit of the entries: a chain within the units of work would serialize them.
//! An attacker who changes, removes or inserts an entry must replace all later links, and cannot replace the checkpoints
//! without the secret, which the database does not have. The digest of an entry covers its personal values by a salted digest of
//! these, so that they can be erased.

pub(crate) mod command;
pub mod model;
pub mod ops;
pub mod store;
