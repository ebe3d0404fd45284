//! The configuration of an Envoy in front of the server, generated from the contract.
//!
//! `envoy/envoy.yaml` contains the parts that do not depend on the contract, with their reasons. This module inserts
//! the services, routes, timeouts, retries, body limits and error codes, from the same source that the server reads.
//!
//! Sources: Envoy's API reference, v1.40, and its observed behavior.

mod replies;
mod routes;

use std::{fmt, path::PathBuf, str::FromStr};

use http::uri::Authority;

use crate::{
    config::Config,
    contract::Contract,
    http::middleware::{protocol, watch, web},
};

/// The options of the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address that Envoy listens on.
    pub listen: Address,
    /// The address of Envoy's admin interface.
    pub admin: Address,
    /// The addresses of the server's instances; a name may resolve to several.
    pub upstreams: Vec<Address>,
    /// The path of the descriptor set file, as seen by Envoy.
    pub descriptors: PathBuf,
    /// The origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// The largest request message in bytes, unless the method's policy allows more.
    pub max_request_bytes: usize,
    /// The maximum number of requests in flight.
    pub max_in_flight: usize,
    /// The certificate chain and its key, both PEM files; `None` for plaintext.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The issuer of access tokens that Envoy verifies; `None` leaves the verification to the server.
    pub issuer: Option<String>,
}

/// Reads the issuer (`iss`) of access tokens from the configuration. The module that issues them contributes it
/// ([`Module::contribute`](crate::module::Module::contribute)), and serves their keys at `/.well-known/jwks.json`.
#[derive(Debug, Clone, Copy)]
pub struct TokenIssuer(pub fn(&Config) -> String);

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be HOST:PORT".to_owned();
        let authority: Authority = text.parse().map_err(|_| wrong())?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        match authority.port_u16() {
            Some(port) if !host.is_empty() && !text.contains('@') => Ok(Self { host, port }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Returns the configuration, as YAML with comments.
pub fn configuration(contract: &Contract, options: &Options) -> String {
    let services: Vec<_> = contract.services().map(|service| service.full_name().to_owned()).collect();
    let routes = routes::Routes::new(&contract.policies, &contract.rules, options.max_request_bytes);

    let port = |address: &Address| address.port.to_string();
    let path = |path: &PathBuf| quote(&path.display().to_string());
    let tokens = options.issuer.as_ref().map(|issuer| {
        let public = indent(14, &routes.public());
        fill(include_str!("envoy/tokens.yaml"), &[("issuer", quote(issuer)), ("public", public)])
    });
    let tls = options.tls.as_ref().map(|(certificate, key)| {
        fill(include_str!("envoy/tls.yaml"), &[("certificate", path(certificate)), ("key", path(key))])
    });
    let hsts = options.tls.as_ref().map(|_| include_str!("envoy/hsts.yaml").to_owned());
    let cors = (!options.allowed_origins.is_empty()).then(|| cors(&options.allowed_origins));
    let values = [
        ("admin_host", quote(&options.admin.host)),
        ("admin_port", port(&options.admin)),
        ("listen_host", quote(&options.listen.host)),
        ("listen_port", port(&options.listen)),
        ("upstreams", indent(8, &options.upstreams.iter().map(upstream).collect::<String>())),
        ("descriptors", options.descriptors.display().to_string()),
        ("descriptor_file", path(&options.descriptors)),
        ("max_in_flight", options.max_in_flight.to_string()),
        ("max_watches", watch::MAX_WATCHES.to_string()),
        ("max_request_bytes", options.max_request_bytes.to_string()),
        ("largest_body", routes.largest_body().to_string()),
        ("mark", protocol::X_TRANSCODED.to_string()),
        ("status", protocol::X_HTTP_CODE.to_string()),
        ("services", indent(14, &services.iter().map(|name| format!("- {name}\n")).collect::<String>())),
        ("local_replies", indent(12, &replies::mappers())),
        ("methods", indent(14, &(routes.methods() + &routes.internal()))),
        ("streams", indent(14, &routes.streams())),
        ("foreign", indent(14, &routes.foreign())),
        ("bodies", indent(14, &routes.bodies())),
        ("compressors", indent(10, &compressors())),
        ("cors", cors.unwrap_or_default()),
        ("hsts", hsts.unwrap_or_default()),
        ("tokens", tokens.unwrap_or_default()),
        ("tls", tls.unwrap_or_default()),
    ];
    fill(include_str!("envoy/envoy.yaml"), &values)
}

fn upstream(Address { host, port }: &Address) -> String {
    format!("- endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {port} }} }} }}\n", quote(host))
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        // A value on a separate line contains its line breaks.
        text = text.replace(&format!("{{{{{name}}}}}\n"), &format!("{}\n", value.trim_end_matches('\n')));
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    text
}

fn indent(spaces: usize, text: &str) -> String {
    text.lines().map(|line| format!("{:spaces$}{line}\n", "")).collect()
}

fn cors(origins: &[String]) -> String {
    let origins: String = origins.iter().map(|origin| format!("- {{ exact: {} }}\n", quote(origin))).collect();
    let values = [
        ("origins", indent(20, &origins)),
        ("methods", web::METHODS.map(|method| method.to_string()).join(",")),
        ("allowed_headers", web::ALLOWED_HEADERS.join(",")),
        ("exposed_headers", web::EXPOSED_HEADERS.join(",")),
        ("max_age", web::PREFLIGHT_AGE.as_secs().to_string()),
    ];
    fill(include_str!("envoy/cors.yaml"), &values)
}

fn compressors() -> String {
    let one = |(name, kind): (&str, &str)| {
        fill(include_str!("envoy/compressor.yaml"), &[("name", name.to_owned()), ("kind", kind.to_owned())])
    };
    [
        ("zstd", "zstd.compressor.v3.Zstd"),
        ("brotli", "brotli.compressor.v3.Brotli"),
        ("gzip", "gzip.compressor.v3.Gzip"),
    ]
    .map(one)
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["127.0.0.1:8080", "mainstay.internal:80", "[::1]:8080"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "mainstay", ":80", "a:b", "http://a:80", "a:99999", "user@a:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
