//! An Envoy in front of the server.

use std::path::Path;

use mainstay_dev_servers::Envoy;
use mainstay_kernel::http::envoy::{Options, configuration};

use crate::TestServer;

impl TestServer {
    /// Returns the configuration of an Envoy in front of the server, as printed by `envoy`.
    ///
    /// # Panics
    /// Never for the address of a server.
    pub fn envoy_configuration(&self, descriptors: &Path) -> String {
        let server = &self.app().config.server;
        let any_port = || "127.0.0.1:0".parse().expect("an address");
        configuration(
            self.app().contract,
            &Options {
                listen: any_port(),
                admin: any_port(),
                upstreams: vec![self.url().trim_start_matches("http://").parse().expect("an address")],
                descriptors: descriptors.to_owned(),
                allowed_origins: server.allowed_origins.clone(),
                max_request_bytes: server.max_request_bytes,
                max_in_flight: server.max_in_flight,
                tls: None,
                issuer: None,
            },
        )
    }

    /// Starts an Envoy in front of the server, and returns it with its URL for [`Client::at`](crate::Client::at).
    ///
    /// # Panics
    /// Panics if Envoy is not installed, or does not start.
    pub async fn envoy(&self) -> (Envoy, String) {
        let descriptors = &self.app().contract.encoded;
        let envoy = Envoy::start(descriptors, |path| self.envoy_configuration(path)).await;
        let envoy = envoy.unwrap_or_else(|error| panic!("{error}"));
        let url = format!("http://{}", envoy.address());
        (envoy, url)
    }
}
