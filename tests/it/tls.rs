//! TLS of the listener: protocols, rejected clients, principals from client certificates, and renewal.

pub(crate) mod certificates;
mod client;
mod envoy;
mod handshake;
mod haproxy;
mod principals;
mod renewal;

use certificates::{Authority, Pair};
use client::Client;
use tempfile::TempDir;

use crate::support::app::Builder;

/// The certificate files of a listener.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    pub(crate) fn new(server: &Pair) -> Self {
        let files = Self { directory: tempfile::tempdir().expect("a directory") };
        files.write(server);
        files
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("text").to_owned()
    }

    fn write(&self, server: &Pair) {
        self.put("tls.key", &server.key);
        self.put("tls.crt", &server.certificate);
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// The variables that name the files.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![("TLS_CERT", self.path("tls.crt")), ("TLS_KEY", self.path("tls.key"))]
    }

    /// Configures an app to use the files.
    fn configure(&self, builder: Builder) -> Builder {
        self.variables().into_iter().fold(builder, |builder, (name, value)| builder.set(name, value))
    }
}
