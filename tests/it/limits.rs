//! Rate limits: exact across instances, kept when Redis is away, strict about credentials.

mod exact;
mod login;
mod redis_away;
