//! Look-ups of TXT records.
//!
//! The record is at `_mainstay-challenge.<domain>`. GitHub (`_github-challenge-…`) and ACME (`_acme-challenge`) use such names:
//! only the administrators of the zone create a name with an underscore, and the list of TXT records at the domain itself, which
//! mail servers read for SPF, does not grow.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};
use tokio::sync::Semaphore;

/// The time limit of a look-up, with its repetition at other name servers and over TCP.
const TOTAL: Duration = Duration::from_secs(8);
/// The time limit of one request.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The most concurrent look-ups.
const SLOTS: usize = 16;
/// The most records of an answer that are read.
const MAX_RECORDS: usize = 100;

/// The answer to a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The texts of the records; none if there is no such record.
    Texts(Vec<String>),
    /// No name server answered, or its answer was a failure.
    None(String),
}

/// The client of the name servers.
pub struct Dns {
    servers: Vec<SocketAddr>,
    slots: Semaphore,
}

impl Dns {
    /// Creates a client of these name servers, or of those of the system if there are none.
    pub fn new(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec(), slots: Semaphore::new(SLOTS) }
    }

    /// Returns a client for one look-up. Look-ups are rare, and each one reads the name servers of the system, which may have
    /// changed since the start.
    fn resolver(&self) -> Result<TokioResolver, String> {
        let mut builder = match &self.servers[..] {
            [] => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
            servers => {
                let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        // A record that was just added must not be missing for the lifetime of an earlier answer.
        options.cache_size = 0;
        options.timeout = ATTEMPT;
        options.attempts = 2;
        options.case_randomization = true;
        builder.build().map_err(|error| error.to_string())
    }

    /// Returns the texts of the TXT records of a name.
    pub async fn texts(&self, name: &str) -> Answer {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return Answer::None(format!("the name servers of the system are unknown: {error}")),
        };
        let look_up = async {
            let _slot = self.slots.acquire().await;
            // The final dot: the search list of the system does not apply.
            resolver.txt_lookup(format!("{name}.")).await
        };
        match tokio::time::timeout(TOTAL, look_up).await {
            Ok(Ok(found)) => {
                let records = found.answers().iter().filter_map(|record| match &record.data {
                    RData::TXT(record) => Some(&record.txt_data),
                    _ => None,
                });
                // A text of more than 255 bytes has several parts.
                let texts = records.map(|parts| parts.iter().map(|part| String::from_utf8_lossy(part)).collect());
                Answer::Texts(texts.take(MAX_RECORDS).collect())
            }
            Ok(Err(error)) if error.is_no_records_found() => Answer::Texts(Vec::new()),
            Ok(Err(error)) => Answer::None(error.to_string()),
            Err(_) => Answer::None(format!("no answer within {} s", TOTAL.as_secs())),
        }
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
