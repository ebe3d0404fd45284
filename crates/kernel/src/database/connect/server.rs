//! The servers of a Postgres URL, which may name several.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use tokio_postgres::{Config, config::Host};

const DEFAULT_PORT: u16 = 5432;

#[derive(Debug, Clone)]
pub(super) struct Server {
    host: Host,
    port: u16,
    /// The address of the host, if the URL contains one (`hostaddr`).
    address: Option<IpAddr>,
}

impl Server {
    /// Returns the servers in the order of the URL.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let (ports, addresses) = (config.get_ports(), config.get_hostaddrs());
        let server = |(at, host): (usize, &Host)| Self {
            host: host.clone(),
            // A single port applies to all hosts.
            port: ports.get(at).or(ports.first()).copied().unwrap_or(DEFAULT_PORT),
            address: addresses.get(at).copied(),
        };
        config.get_hosts().iter().enumerate().map(server).collect()
    }

    /// Returns the path of the socket; `None` for a TCP host.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        match &self.host {
            Host::Unix(directory) => Some(socket_in(directory, self.port)),
            Host::Tcp(_) => None,
        }
    }

    /// Returns the addresses of a host, in the order of the resolver. There is at least one.
    pub(super) async fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let addresses = match (&self.host, self.address) {
            (_, Some(address)) => vec![address],
            (Host::Tcp(name), None) => {
                tokio::net::lookup_host((name.as_str(), self.port)).await?.map(|address| address.ip()).collect()
            }
            (Host::Unix(_), None) => Vec::new(),
        };
        if addresses.is_empty() { Err(io::Error::other("its name has no address")) } else { Ok(addresses) }
    }

    pub(super) fn at(&self, address: IpAddr, settings: &Config) -> Config {
        let mut config = settings.clone();
        if let Host::Tcp(name) = &self.host {
            // TLS still verifies the certificate for this name.
            config.host(name);
        }
        config.hostaddr(address).port(self.port);
        config
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(directory) => write!(f, "{}", socket_in(directory, self.port).display()),
        }
    }
}

fn socket_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_of_a_url_has_its_own_port_and_address() {
        for (url, servers) in [
            ("postgres://db/shop", "db:5432"),
            ("postgres://db1:5433,db2/shop", "db1:5433, db2:5432"),
            ("postgres://[::1]:5433/shop", "[::1]:5433"),
            ("postgres:///shop?host=db1&host=db2&port=5433", "db1:5433, db2:5433"),
            ("postgres:///shop?host=/run/postgresql", "/run/postgresql/.s.PGSQL.5432"),
            ("postgres://me:secret@/shop?host=/run/postgresql&port=5433", "/run/postgresql/.s.PGSQL.5433"),
            ("postgres://me@%2Frun%2Fpostgresql:5433/shop", "/run/postgresql/.s.PGSQL.5433"),
        ] {
            let all = Server::all(&url.parse().expect("a URL"));
            let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
            assert_eq!(texts.join(", "), servers, "{url}");
        }
    }

    #[tokio::test]
    async fn the_address_of_a_url_is_taken_in_the_place_of_its_name() {
        let url = "postgres://db.invalid:5433/shop?hostaddr=127.0.0.1";
        let settings = url.parse().expect("a URL");
        let server = Server::all(&settings).remove(0);
        let address = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(server.addresses().await.expect("that of the URL"), [address]);
        let config = server.at(address, &Config::new());
        assert_eq!(config.get_hosts(), [Host::Tcp("db.invalid".to_owned())]);
        assert_eq!((config.get_hostaddrs(), config.get_ports()), (&[address][..], &[5433][..]));
    }
}
