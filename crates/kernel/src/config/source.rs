//! Sources of settings: the environment, a TOML file and secret files, with typed readers.

use std::{
    collections::BTreeMap,
    env::VarError,
    fmt, fs, iter,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;

use crate::config::Quota;

/// The definition of a setting.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name, in the environment and in the file. A `*` stands for a part that the deployment chooses: the variable is then
    /// a family, such as `OIDC_*_ISSUER`.
    pub name: &'static str,
    /// The default; empty if there is none.
    pub default: &'static str,
    /// The description, as `config check` and the documentation list it.
    pub meaning: &'static str,
    /// Whether the value is a secret. A secret is never shown, and `NAME_FILE` may name a file that contains it.
    pub secret: bool,
}

impl Variable {
    /// Defines a variable whose value may be shown.
    pub const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning, secret: false }
    }

    /// Defines a secret variable without a default. `NAME_FILE` may name a file that contains it.
    pub const fn secret(name: &'static str, meaning: &'static str) -> Self {
        Self { name, default: "", meaning, secret: true }
    }

    /// Returns whether a name is that of the variable, or of a member of the family: capitals, digits and underscores in
    /// place of the `*`.
    pub fn matches(&self, name: &str) -> bool {
        let Some((prefix, suffix)) = self.name.split_once('*') else { return self.name == name };
        let part = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)).unwrap_or_default();
        let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !part.is_empty() && part.bytes().all(is_allowed)
    }

    fn matches_with_file(&self, name: &str) -> bool {
        self.matches(name) || (self.secret && name.strip_suffix("_FILE").is_some_and(|name| self.matches(name)))
    }

    /// Returns the names to read from the environment: that of the variable, or those of the members of a family.
    fn names(&self) -> Vec<String> {
        if !self.name.contains('*') {
            return vec![self.name.to_owned()];
        }
        let environment = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut names: Vec<_> = environment.filter(|name| self.matches_with_file(name)).collect();
        for name in &mut names {
            if let Some(secret) = name.strip_suffix("_FILE").filter(|_| self.secret) {
                *name = secret.to_owned();
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A missing or invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the variable, or the path of the file that can't be read.
    pub name: String,
    /// The error; never contains the value of a secret.
    pub message: String,
}

impl ConfigError {
    /// Makes the error of a value.
    pub fn new(name: &str, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The values of the environment and a file, and their errors.
#[derive(Debug, Clone, Default)]
pub struct Source {
    values: BTreeMap<String, Value>,
    errors: Vec<ConfigError>,
}

#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// The origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The default of the variable.
    Default,
    /// The environment.
    Environment,
    /// The file that `--config` names.
    File,
}

impl Source {
    /// Reads the environment and an optional TOML file. The environment takes precedence.
    pub fn read(file: Option<&Path>, variables: &[Variable]) -> Self {
        let mut source = file.map_or_else(Self::default, |file| Self::file(file, variables));
        for variable in variables {
            for name in variable.names() {
                source.read_environment(&name, variable.secret);
            }
        }
        source
    }

    fn read_environment(&mut self, name: &str, is_secret: bool) {
        let file_name = is_secret.then(|| format!("{name}_FILE"));
        let names = iter::once(name).chain(file_name.as_deref());
        #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
        let env_values: Vec<_> = names.map(|name| (name, std::env::var(name))).collect();
        if env_values.iter().any(|(_, value)| *value != Err(VarError::NotPresent)) {
            // `NAME` in the environment also takes precedence over `NAME_FILE` in the file, and vice versa.
            self.values.retain(|name, _| env_values.iter().all(|(other, _)| name != other));
        }
        for (name, value) in env_values {
            match value {
                Ok(text) => {
                    self.values.insert(name.to_owned(), Value { text, origin: Origin::Environment });
                }
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => self.error(name, "must be UTF-8"),
            }
        }
    }

    /// Returns a source with exactly these values.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let value = |text: &str| Value { text: text.to_owned(), origin: Origin::Environment };
        let values = values.into_iter().map(|(name, text)| (name.to_owned(), value(text))).collect();
        Self { values, errors: Vec::new() }
    }

    /// Adds errors of variables with a separate reader, such as those of logs and traces, which start earlier.
    #[must_use]
    pub fn with_errors(mut self, errors: impl IntoIterator<Item = ConfigError>) -> Self {
        self.errors.extend(errors);
        self
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Returns the names of the members of a family that are set, and the origin of the first.
    pub(super) fn members(&self, family: &Variable) -> (Vec<&str>, Option<Origin>) {
        let members: Vec<_> = self.values.iter().filter(|(name, _)| family.matches_with_file(name)).collect();
        let origin = members.first().map(|(_, value)| value.origin);
        (members.into_iter().map(|(name, _)| name.as_str()).collect(), origin)
    }

    fn file(path: &Path, variables: &[Variable]) -> Self {
        let mut source = Self::default();
        let table = fs::read_to_string(path)
            .map_err(|e| e.to_string())
            .and_then(|text| toml::from_str::<toml::Table>(&text).map_err(|e| e.message().to_owned()));
        match table {
            Err(message) => source.error(&path.display().to_string(), message),
            Ok(table) => {
                for (name, value) in table {
                    if !variables.iter().any(|variable| variable.matches_with_file(&name)) {
                        source.error(&name, "there is no such variable");
                    }
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    source.values.insert(name, Value { text, origin: Origin::File });
                }
            }
        }
        source
    }

    /// Records an error once, even if the value is read several times.
    fn error(&mut self, name: &str, message: impl Into<String>) {
        let error = ConfigError::new(name, message);
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// Reads values and collects their errors.
///
/// # Panics
/// All reading methods panic if the section does not list the name in its variables, or if the variable's default is
/// not a value of the type.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    variables: Vec<Variable>,
}

impl Reader {
    pub(crate) fn new(source: Source, variables: Vec<Variable>) -> Self {
        Self { source, variables }
    }

    /// Records an error of a value. Reading continues, so that all errors are reported together.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.source.error(name, message);
    }

    /// Returns the source, completed with computed defaults, and all errors.
    pub(super) fn finish(mut self) -> (Source, Vec<ConfigError>) {
        let errors = std::mem::take(&mut self.source.errors);
        (self.source, errors)
    }

    fn variable(&self, name: &str) -> Variable {
        let variable = self.variables.iter().find(|variable| variable.matches(name));
        *variable.unwrap_or_else(|| panic!("{name} is missing from the VARIABLES of its section"))
    }

    fn text(&self, name: &str) -> String {
        self.source.value(name).map_or(self.variable(name).default, |value| &value.text).trim().to_owned()
    }

    /// Converts a value. An invalid value is recorded and replaced by its default: all errors are reported together.
    pub(super) fn convert<T>(&mut self, name: &str, convert: impl Fn(&str) -> Result<T, String>) -> T {
        match convert(&self.text(name)) {
            Ok(value) => value,
            Err(message) => {
                self.fault(name, message);
                let default = self.variable(name).default;
                convert(default).unwrap_or_else(|_| panic!("the default of {name} is a value of its type"))
            }
        }
    }

    /// Reads a value.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> T {
        self.convert(name, |text| text.parse().map_err(|e: T::Err| e.to_string()))
    }

    /// Reads a number that must be at least 1.
    pub fn positive<T: FromStr<Err: fmt::Display> + From<u8> + PartialOrd>(&mut self, name: &str) -> T {
        let value = self.parse(name);
        if value < T::from(1) {
            self.fault(name, "must be at least 1");
        }
        value
    }

    /// Reads a value; `None` if it is empty.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.convert(name, |text| {
            let set = Some(text).filter(|text| !text.is_empty());
            set.map(|text| text.parse().map_err(|e: T::Err| e.to_string())).transpose()
        })
    }

    /// Reads a text. `default` replaces an empty one, because it depends on other values.
    pub(super) fn text_or(&mut self, name: &str, default: &str) -> String {
        let text = self.text(name);
        if !text.is_empty() {
            return text;
        }
        self.set_default(name, default.to_owned());
        default.to_owned()
    }

    /// Reads a comma-separated list.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Reads a path; `default` provides an unset one.
    pub fn path(&mut self, name: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
        let text = self.text(name);
        if !text.is_empty() {
            return PathBuf::from(text);
        }
        let path = default();
        self.set_default(name, path.display().to_string());
        path
    }

    fn set_default(&mut self, name: &str, text: String) {
        self.source.values.insert(name.to_owned(), Value { text, origin: Origin::Default });
    }

    /// Reads a duration: a number with a unit (ms, s, m, h, d), at most 36,500 days.
    pub fn duration(&mut self, name: &str) -> Duration {
        self.convert(name, duration)
    }

    /// Reads a duration that must be longer than 0, such as a time limit.
    pub fn positive_duration(&mut self, name: &str) -> Duration {
        self.convert(name, positive_duration)
    }

    /// Reads a number of bytes, with `B`, `KiB` or `MiB` as an optional unit.
    pub fn bytes(&mut self, name: &str) -> usize {
        self.convert(name, bytes)
    }

    /// Reads a number of bytes that must be at least 1.
    pub fn positive_bytes(&mut self, name: &str) -> usize {
        self.convert(name, |text| {
            let value = bytes(text)?;
            if value == 0 { Err("must be at least 1".to_owned()) } else { Ok(value) }
        })
    }

    /// Reads a quota: COUNT/WINDOW.
    pub fn quota(&mut self, name: &str) -> Quota {
        self.convert(name, |text| {
            let wrong = || "must be COUNT/WINDOW, like 100/1m".to_owned();
            let (requests, window) = text.split_once('/').ok_or_else(wrong)?;
            let requests = requests.parse().ok().filter(|&n: &u32| n > 0).ok_or_else(wrong)?;
            let window = duration(window).ok().filter(|window| !window.is_zero()).ok_or_else(wrong)?;
            Ok(Quota { requests, window })
        })
    }

    /// Reads a secret, from the variable or from the file that `NAME_FILE` names.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        let file_name = format!("{name}_FILE");
        let value = match self.source.value(&file_name) {
            None => self.text(name),
            Some(_) if !self.text(name).is_empty() => {
                self.fault(name, format!("given twice, as {name} and {file_name}: remove one"));
                return None;
            }
            Some(path) => match fs::read_to_string(&path.text) {
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    self.fault(&file_name, error.to_string());
                    return None;
                }
            },
        };
        if value.is_empty() { None } else { Some(SecretString::from(value)) }
    }
}

/// 36,500 days. Added to the present, it stays within the time range of Postgres and of the system clock.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (number, unit_ms) = with_unit(text, &UNITS).ok_or("must be a number with a unit: ms, s, m, h or d")?;
    let value = number.checked_mul(unit_ms).map(Duration::from_millis);
    value.filter(|value| *value <= LONGEST).ok_or_else(|| "must be at most 36500d".to_owned())
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let value = duration(text)?;
    if value.is_zero() { Err("must be at least 1ms".to_owned()) } else { Ok(value) }
}

fn bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u64); 4] = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)];
    let bytes = with_unit(text, &UNITS).and_then(|(number, unit)| usize::try_from(number.checked_mul(unit)?).ok());
    bytes.ok_or_else(|| "must be a number of bytes, or one with KiB or MiB".to_owned())
}

/// Returns the number and the factor of its unit.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    Some((number.parse().ok()?, units.iter().find(|(name, _)| *name == unit)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_below_one_is_not_positive() {
        let variable = Variable::plain("COUNT", "5", "Something that is counted");
        for (text, is_positive) in [("1", true), ("0", false), ("-1", false)] {
            let mut read = Reader::new(Source::of([("COUNT", text)]), vec![variable]);
            read.positive::<i64>("COUNT");
            let errors: Vec<_> = read.finish().1.iter().map(ToString::to_string).collect();
            let expected: &[&str] = if is_positive { &[] } else { &["COUNT: must be at least 1"] };
            assert_eq!(errors, expected, "{text}");
        }
    }

    #[test]
    fn a_duration_has_an_end() {
        assert_eq!(duration("36500d"), Ok(LONGEST));
        for text in ["36501d".to_owned(), format!("{}d", u64::MAX), format!("{}ms", u64::MAX)] {
            assert_eq!(duration(&text), Err("must be at most 36500d".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_read_twice_has_one_error() {
        let variable = Variable::plain("WAIT", "5s", "Something that is waited for");
        let mut read = Reader::new(Source::of([("WAIT", "soon")]), vec![variable]);
        read.duration("WAIT");
        read.positive_duration("WAIT");
        assert_eq!(read.finish().1.len(), 1);
    }

    #[test]
    fn a_family_has_the_variables_that_match_its_name() {
        let family = Variable::secret("OIDC_*_CLIENT_SECRET", "A secret");
        for (name, is_member) in [
            ("OIDC_GOOGLE_CLIENT_SECRET", true),
            ("OIDC_MY_CORP_2_CLIENT_SECRET", true),
            ("OIDC__CLIENT_SECRET", false),
            ("OIDC_CLIENT_SECRET", false),
            ("OIDC_google_CLIENT_SECRET", false),
            ("OIDC_GOOGLE_CLIENT_SECRET_FILE", false),
            ("OIDC_GOOGLE_CLIENT_ID", false),
        ] {
            assert_eq!(family.matches(name), is_member, "{name}");
        }
        let mut read = Reader::new(Source::of([("OIDC_CORP_CLIENT_SECRET", "hunter2")]), vec![family]);
        assert!(read.secret("OIDC_CORP_CLIENT_SECRET").is_some() && read.secret("OIDC_OTHER_CLIENT_SECRET").is_none());
        let (source, _) = read.finish();
        assert_eq!(source.members(&family).0, ["OIDC_CORP_CLIENT_SECRET"]);
    }
}
