//! Posts: behavior beyond a single response.

mod authors;
mod cached;
mod feed;
mod markdown;
mod publishing;
mod slugs;
