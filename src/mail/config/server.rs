//! A mail server, parsed from its URL.

use std::fmt;

use lettre::transport::smtp::{authentication::Credentials, extension::ClientId};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The registered ports for submission: RFC 6409, RFC 8314.
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// TLS from the start.
    Implicit,
    /// STARTTLS is required; without it, no mail is sent.
    StartTls,
    /// No encryption.
    None,
}

/// A server and its credentials.
#[derive(Clone)]
pub struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    pub(crate) credentials: Option<Credentials>,
    /// The name to send with EHLO; if absent, the sender's domain.
    pub(crate) hello: Option<ClientId>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Server {
    /// Parses `smtps://user:password@host:port/name`, or `smtp://…?tls=required` for STARTTLS; `?tls=none` disables
    /// encryption. The port, the name sent with EHLO, and user and password are optional.
    ///
    /// # Errors
    /// A description of the error in the URL, without any part of the URL.
    pub fn parse(url: &SecretString) -> Result<Self, String> {
        const FORM: &str = "must be smtps://user:password@host, or smtp:// with ?tls=required or ?tls=none";
        let url: Url = url.expose_secret().parse().map_err(|_| FORM)?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let encryption = match (url.scheme(), tls.as_deref()) {
            ("smtps", None | Some("required")) => Encryption::Implicit,
            ("smtp", Some("required")) => Encryption::StartTls,
            ("smtp", Some("none")) => Encryption::None,
            _ => return Err(FORM.to_owned()),
        };
        let decode = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        let credentials = match url.password() {
            Some(password) => {
                let user = decode(url.username()).map_err(|_| FORM)?;
                Some(Credentials::new(user, decode(password).map_err(|_| FORM)?))
            }
            None if !url.username().is_empty() => return Err("has a user and no password".to_owned()),
            None => None,
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?;
        if encryption == Encryption::None && credentials.is_some() && !is_loopback(host) {
            return Err("would send its password unencrypted".to_owned());
        }
        let name = url.path().trim_matches('/');
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if encryption == Encryption::Implicit { SUBMISSIONS } else { SUBMISSION }),
            encryption,
            credentials,
            hello: (!name.is_empty()).then(|| ClientId::Domain(name.to_owned())),
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, String> {
        Server::parse(&SecretString::from(url))
    }

    #[test]
    fn encryption_is_off_only_on_request() {
        let of = |url: &str| parse(url).map(|server| (server.port, server.encryption)).expect(url);
        assert_eq!(of("smtps://u:p@mail.example"), (465, Encryption::Implicit));
        assert_eq!(of("smtp://u:p@mail.example?tls=required"), (587, Encryption::StartTls));
        assert_eq!(of("smtp://relay.internal:25?tls=none"), (25, Encryption::None));
        assert_eq!(of("smtp://u:p@127.0.0.1:2525?tls=none"), (2525, Encryption::None));
        assert_eq!(of("smtp://u:p@[::1]:2525?tls=none"), (2525, Encryption::None));
        for bad in [
            "smtp://mail.example",
            "smtp://mail.example?tls=opportunistic",
            "smtp://u:hunter2@mail.example?tls=none",
            "smtps://u:hunter2@mail.example?tls=none",
            "smtps://hunter2@mail.example",
            "https://u:hunter2@mail.example",
            "hunter2",
            "",
        ] {
            assert!(parse(bad).is_err_and(|why| !why.contains("hunter2")), "{bad}");
        }
    }

    #[test]
    fn user_password_and_name_are_decoded() {
        let server = parse("smtps://a%40b:p%2Fq@mail.example/shop.example").expect("a server");
        assert_eq!(server.credentials, Some(Credentials::new("a@b".into(), "p/q".into())));
        assert_eq!(server.hello, Some(ClientId::Domain("shop.example".into())));
        assert!(!format!("{server:?}").contains("p/q"));
    }
}
