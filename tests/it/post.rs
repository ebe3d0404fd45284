//! Posts: behavior beyond a single response.

mod authors;
mod cached;
mod feed;
mod images;
mod markdown;
mod publishing;
mod purge;
mod slugs;
