//! Registration: a token is sent to an e-mail address, and whoever has it creates the account.
//!
//! So every user who registered has a confirmed address, and only the owner of an address learns whether it is registered.
//! (`mainstay users create-admin` does not confirm the address.) The name and the password come with the token, not before: nobody can
//! prepare an account for the owner of an address, or put text into a mail to them.

mod confirm;
mod create;
mod notice;
mod request;

pub use confirm::{NewUser, confirm};
pub use request::request;

pub(crate) use create::{Profile, create, create_without_password, no_password};
pub(crate) use notice::{Notice, notice};
