//! `mainstay envoy`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use mainstay_kernel::{
    command::print,
    config::Config,
    http::envoy::{self, Address, TokenIssuer},
    module::Modules,
};

/// Print the configuration of an Envoy proxy in front of the server, from the contract and the current configuration:
/// LISTEN_ADDR, ALLOWED_ORIGINS, MAX_REQUEST_BYTES, MAX_IN_FLIGHT and TOKEN_ISSUER. The server behind it needs
/// TRUSTED_PROXY_HOPS=1.
#[derive(Debug, Args)]
pub(crate) struct Envoy {
    /// The address that Envoy listens on.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    listen: Address,
    /// The address of the server as Envoy reaches it: once per instance, or a name that resolves to all of them.
    /// Default: LISTEN_ADDR.
    #[arg(long = "upstream", value_name = "HOST:PORT")]
    upstreams: Vec<Address>,
    /// The address of Envoy's admin interface; only operators may reach it.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9901")]
    admin: Address,
    /// The path, as Envoy sees it, of a file with the output of `mainstay descriptors`.
    #[arg(long, value_name = "FILE", default_value = "descriptors.binpb")]
    descriptors: PathBuf,
    /// The certificate chain (PEM) that Envoy serves TLS with.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Reject forged and expired access tokens at the edge; the server checks them in any case.
    #[arg(long)]
    check_tokens: bool,
    /// Write the configuration to envoy.yaml in this folder, and the descriptors beside it, instead of printing it.
    #[arg(long, value_name = "DIR")]
    write_to: Option<PathBuf>,
}

impl Envoy {
    pub(crate) fn run(self, modules: &Modules, config: &Config) -> anyhow::Result<()> {
        let Some(folder) = self.write_to.clone() else {
            print(&self.configuration(modules, config)?)?;
            return Ok(());
        };
        let descriptors = folder.join(self.descriptors.file_name().context("--descriptors needs the name of a file")?);
        let configuration = self.configuration(modules, config)?;
        for (path, content) in
            [(descriptors, modules.contract.encoded.as_slice()), (folder.join("envoy.yaml"), configuration.as_bytes())]
        {
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn configuration(mut self, modules: &Modules, config: &Config) -> anyhow::Result<String> {
        let server = &config.server;
        let issuer = modules.contributions().all::<TokenIssuer>().next().filter(|_| self.check_tokens);
        anyhow::ensure!(issuer.is_some() || !self.check_tokens, "no module issues access tokens that could be checked");
        if self.upstreams.is_empty() {
            self.upstreams.push(server.listen.to_string().parse().expect("a socket address is a host and a port"));
        }
        Ok(envoy::configuration(
            modules.contract,
            &envoy::Options {
                listen: self.listen,
                admin: self.admin,
                upstreams: self.upstreams,
                descriptors: self.descriptors,
                allowed_origins: server.allowed_origins.clone(),
                max_request_bytes: server.max_request_bytes,
                max_in_flight: server.max_in_flight,
                tls: self.tls_certificate.zip(self.tls_key),
                issuer: issuer.map(|TokenIssuer(issuer)| issuer(config)),
            },
        ))
    }
}
