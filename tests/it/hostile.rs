//! Hostile input: each gets a 4xx in the envelope, changes nothing, and the server lives on.

mod http1;
mod http2;
mod values;
