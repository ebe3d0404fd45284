//! Rate limits: exact across instances, enforced without Redis, strict about credentials.

mod cluster;
mod exact;
mod login;
mod pair;
mod redis_unavailable;
pub(crate) mod sentinel;
mod slots;
