//! The change of an address: a token is sent to the new address, and the address changes once its holder confirms it. The
//! address before gets a notice with a token that undoes the change.
//!
//! The response to a request does not depend on whether the new address belongs to another user; only the mail to that
//! address does. All steps of one user's changes are serialized by the lock on the user.

mod confirm;
mod notice;
mod request;
mod undo;

pub use confirm::confirm;
pub use request::request;
pub use undo::undo;

pub(crate) use notice::{Notice, notice, undo_notice};
