//! The sources of values.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;

use crate::config::Quota;

/// A variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name, in the environment and in the file.
    pub name: &'static str,
    /// The default; empty: none.
    pub default: &'static str,
    /// The meaning.
    pub meaning: &'static str,
    /// Whether the value is a secret, which is never shown and may be given as `NAME_FILE`.
    pub secret: bool,
}

impl Variable {
    /// A variable whose value may be shown.
    pub const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning, secret: false }
    }

    /// A secret.
    pub const fn secret(name: &'static str, meaning: &'static str) -> Self {
        Self { name, default: "", meaning, secret: true }
    }
}

/// A value that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: String,
    /// The error; never contains the value of a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The values given.
#[derive(Debug, Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    faults: Vec<Fault>,
}

impl Source {
    /// Reads the environment and an optional TOML file; the environment takes precedence.
    pub fn read(file: Option<&Path>, variables: &[Variable]) -> Self {
        let mut source = file.map_or_else(Self::default, |file| Self::file(file, variables));
        for variable in variables {
            for name in [variable.name.to_owned(), format!("{}_FILE", variable.name)] {
                #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
                if let Ok(value) = std::env::var(&name) {
                    source.values.insert(name, value);
                }
            }
        }
        source
    }

    /// Makes a source of just these values.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, faults: Vec::new() }
    }

    fn file(path: &Path, variables: &[Variable]) -> Self {
        let mut source = Self::default();
        let table = fs::read_to_string(path)
            .map_err(|e| e.to_string())
            .and_then(|text| toml::from_str::<toml::Table>(&text).map_err(|e| e.message().to_owned()));
        match table {
            Err(message) => source.faults.push(Fault { name: path.display().to_string(), message }),
            Ok(table) => {
                for (name, value) in table {
                    let known =
                        variables.iter().any(|v| v.name == name || (v.secret && format!("{}_FILE", v.name) == name));
                    if !known {
                        source.faults.push(Fault { name: name.clone(), message: "there is no such variable".into() });
                    }
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    source.values.insert(name, text);
                }
            }
        }
        source
    }
}

/// Reads values and collects their errors.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    variables: Vec<Variable>,
}

impl Reader {
    pub(crate) fn new(source: Source, variables: Vec<Variable>) -> Self {
        Self { source, variables }
    }

    /// Records a fault.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.source.faults.push(Fault { name: name.to_owned(), message: message.into() });
    }

    /// Returns the value, or all faults.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.source.faults.is_empty() { Ok(value) } else { Err(self.source.faults) }
    }

    fn variable(&self, name: &str) -> Variable {
        let found = self.variables.iter().find(|variable| variable.name == name);
        *found.unwrap_or_else(|| panic!("{name} is missing from the VARIABLES of its section"))
    }

    fn text(&self, name: &str) -> String {
        self.source.values.get(name).map_or(self.variable(name).default, String::as_str).trim().to_owned()
    }

    /// Records an invalid value and continues with its default, so that the other errors are found too.
    fn convert<T>(&mut self, name: &str, convert: impl Fn(&str) -> Result<T, String>) -> T {
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
    pub fn positive<T: FromStr<Err: fmt::Display> + Default + PartialEq>(&mut self, name: &str) -> T {
        let value = self.parse(name);
        if value == T::default() {
            self.fault(name, "must be at least 1");
        }
        value
    }

    /// Reads a value; `None` when nothing is set.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.convert(name, |text| {
            let set = Some(text).filter(|text| !text.is_empty());
            set.map(|text| text.parse().map_err(|e: T::Err| e.to_string())).transpose()
        })
    }

    /// Reads a list, separated by commas.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Reads a path, or makes the default when nothing is set.
    pub fn path(&mut self, name: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
        let text = self.text(name);
        if text.is_empty() { default() } else { PathBuf::from(text) }
    }

    /// Reads a duration: a number with a unit (ms, s, m, h, d).
    pub fn duration(&mut self, name: &str) -> Duration {
        self.convert(name, duration)
    }

    /// Reads a number of bytes, with KiB or MiB as an optional unit.
    pub fn bytes(&mut self, name: &str) -> usize {
        self.convert(name, bytes)
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
        let value = match self.source.values.get(&file_name) {
            None => self.text(name),
            Some(path) => match fs::read_to_string(path) {
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

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "must be a number with a unit: ms, s, m, h or d".to_owned();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "must be a number of bytes, or one with KiB or MiB".to_owned();
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}
