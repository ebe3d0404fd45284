//! Rate limits: exact across instances, enforced without Redis, strict about credentials.

mod exact;
mod login;
mod redis_away;
mod sentinel;
mod slots;
