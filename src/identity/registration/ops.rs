//! Registration: a token is sent to an e-mail address, and the holder of the token creates the account.
//!
//! So every registered user has a confirmed address, and only the owner of an address learns whether it is registered.
//! (`mainstay users create-admin` does not confirm the address.) The name and the password are sent together with the
//! token, not before. Otherwise a third party could prepare an account for the owner of an address, or put text into a
//! mail to the owner.

mod confirm;
mod create;
mod notice;
mod request;

pub use confirm::{NewUser, confirm};
pub use request::request;

pub(crate) use request::admit;

pub(crate) use create::{Profile, create, create_without_password, no_password, register, register_in};
pub(crate) use notice::{Notice, notice};
