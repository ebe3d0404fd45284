//! Effective settings and the origin of each, as `config check` lists them.

use url::Url;

use super::{
    Config,
    source::{ConfigError, Origin, Source, Variable},
};

/// A configuration as it was read, valid or not.
#[derive(Debug)]
pub struct Settings {
    /// All missing and invalid values.
    pub errors: Vec<ConfigError>,
    config: Config,
}

/// A variable with its value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The variable.
    pub variable: Variable,
    /// The effective value, without its secret parts; empty if there is none. For a family, the names that are set.
    pub shown: String,
    /// The origin of the value.
    pub origin: Origin,
}

impl Settings {
    pub(super) fn new(
        mut config: Config,
        variables: &[Variable],
        (source, errors): (Source, Vec<ConfigError>),
    ) -> Self {
        config.settings = variables.iter().map(|variable| Setting::new(*variable, &source)).collect();
        Self { errors, config }
    }

    /// Returns the configuration for further diagnosis. Defaults replace invalid values.
    pub fn tentative(&self) -> &Config {
        &self.config
    }

    /// Returns the configuration.
    ///
    /// # Errors
    /// All missing and invalid values.
    pub fn usable(self) -> Result<Config, Vec<ConfigError>> {
        if self.errors.is_empty() { Ok(self.config) } else { Err(self.errors) }
    }
}

impl Setting {
    fn new(variable: Variable, source: &Source) -> Self {
        if variable.name.contains('*') {
            let (names, origin) = source.members(&variable);
            return Self { variable, shown: names.join(", "), origin: origin.unwrap_or(Origin::Default) };
        }
        if let (true, Some(path)) = (variable.secret, source.value(&format!("{}_FILE", variable.name))) {
            return Self { variable, shown: format!("the content of {}", path.text), origin: path.origin };
        }
        let (text, origin) = match source.value(variable.name) {
            Some(value) => (value.text.trim(), value.origin),
            None => (variable.default, Origin::Default),
        };
        let text = if variable.secret && !text.is_empty() { redact(text) } else { text.to_owned() };
        Self { variable, shown: text, origin }
    }
}

/// Redacts a secret. The host and the path of a URL remain visible if the URL is unambiguous: unencoded characters of a
/// password can otherwise look like a host.
fn redact(text: &str) -> String {
    let url = text.parse::<Url>().ok().filter(Url::has_host);
    let plain = |url: &Url| match text.matches('@').count() {
        0 => true,
        1 => !url.username().is_empty() || url.password().is_some(),
        _ => false,
    };
    url.filter(plain).map_or_else(
        || "(secret)".to_owned(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let user = if text.contains('@') { "…@" } else { "" };
            format!("{}://{user}{host}{port}{}", url.scheme(), url.path())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn no_part_of_a_secret_is_shown() {
        for (text, redaction) in [
            ("postgres://me:hunter2@db.example.com:5433/shop?sslmode=require", "postgres://…@db.example.com:5433/shop"),
            ("redis://cache:6379", "redis://cache:6379"),
            ("redis://:hunter2@cache/0", "redis://…@cache/0"),
            ("rediss://cache:6379?password=hunter2", "rediss://cache:6379"),
            // Passwords with unencoded special characters.
            ("postgres://me:hun@ter2/w@db/shop", "(secret)"),
            ("postgres://me:12#hunter2@db/shop", "(secret)"),
            ("postgres://me:12/hunter2@db/shop", "(secret)"),
            ("postgres://me:12?hunter2@db/shop", "(secret)"),
            ("host=db password=hunter2", "(secret)"),
            ("sk_live_hunter2", "(secret)"),
            ("whsec_aHVudGVyMg==", "(secret)"),
        ] {
            assert_eq!(redact(text), redaction, "{text}");
        }
    }
}
