//! Sign-in by mail: a mail with a link and a code is sent to an address, and the browser that asked for it answers.
//!
//! The link and the code prove the mailbox, and the binding proves the browser. Neither suffices alone, so that a mail that
//! is forwarded, or a link that a scanner follows, signs nobody in. The rest is that of a sign-in by a password: the second
//! factor, the policies and the audit.

mod begin;
mod login;
mod notice;

pub use begin::{Begun, begin, is_offered};
pub use login::login;
pub(crate) use notice::{Notice, notice};
