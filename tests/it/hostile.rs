//! Hostile input: each request gets a 4xx in the envelope and changes nothing, and the server keeps running.

mod connections;
mod growth;
mod http1;
mod http2;
mod lines;
mod private_listener;
mod readers;
mod refusals;
mod responses;
mod texts;
mod values;
