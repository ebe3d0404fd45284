//! Validation of field rules: reports all violations of a request at once, each under its JSON field path.
//!
//! `mainstay-build` compiles the checks from `buf.validate` options. Further rules apply to every message: a string
//! contains no NUL character, which Postgres can't store; a string that must not be empty contains a visible character;
//! a time is representable in RFC 3339; an enum has a declared value. `docs/validation.md` lists all rules.
//!
//! Texts are normalized before validation. Unicode has several encodings of the same text, and texts that look the same
//! must compare, count and match as equal.

pub mod cel;
pub mod check;
pub mod text;
mod well_known;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, atomic::AtomicUsize},
};

use crate::{clock::Clock, error::Error};

/// A message with field rules.
pub trait Validate {
    /// Adds the message's violations to `violations`; `path` is the path from the request to this message.
    fn validate(&self, path: &Path<'_>, violations: &mut Violations);

    /// Normalizes the texts of the message, except for texts whose exact bytes matter.
    fn normalize(&mut self) {}

    /// Normalizes the message and checks it as a complete request.
    fn admit(&mut self) -> Result<(), Violations> {
        self.normalize();
        self.check()
    }

    /// Checks the message as a complete request.
    fn check(&self) -> Result<(), Violations> {
        self.check_by(None)
    }

    /// Checks the message as a complete request, with the clock for rules about the present time; `None`: the system's.
    fn check_by(&self, clock: Option<&Clock>) -> Result<(), Violations> {
        let mut violations = Violations { clock: clock.cloned(), ..Violations::default() };
        self.validate(&Path::ROOT, &mut violations);
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }
}

/// The position of a field in a request, in JSON names: `tickets[3].subject`, `labels["color"]`.
///
/// Each step points to its parent and lives on the stack of its check. The text is built for violations only, so that a
/// valid request allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    step: Step<'a>,
    parent: Option<&'a Path<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'static str),
    Item(usize),
    Key(Key<'a>),
}

/// A key of a map.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// A string.
    Text(&'a str),
    /// An integer.
    Number(i128),
    /// A bool.
    Bool(bool),
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(key: &'a String) -> Self {
        Self::Text(key)
    }
}

impl From<&bool> for Key<'_> {
    fn from(key: &bool) -> Self {
        Self::Bool(*key)
    }
}

macro_rules! number_key {
    ($($number:ty),*) => {$(
        impl From<&$number> for Key<'_> {
            fn from(key: &$number) -> Self {
                Self::Number((*key).into())
            }
        }
    )*};
}
number_key!(i32, i64, u32, u64);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => match text.char_indices().nth(Path::KEY_CHARACTERS) {
                None => write!(f, "{text:?}"),
                Some((end, _)) => write!(f, "{:?}", format!("{}…", &text[..end])),
            },
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl Path<'_> {
    const ROOT: Path<'static> = Path { step: Step::Root, parent: None };
    /// The characters of a key that are reported, because gRPC clients limit metadata to 8 KiB.
    const KEY_CHARACTERS: usize = 60;

    /// Returns the path of a field of this message.
    #[must_use]
    pub fn field(&self, name: &'static str) -> Path<'_> {
        Path { step: Step::Field(name), parent: Some(self) }
    }

    /// Returns the path of an item of this list.
    #[must_use]
    pub fn item(&self, index: usize) -> Path<'_> {
        Path { step: Step::Item(index), parent: Some(self) }
    }

    /// Returns the path of a key of this map, and of its value.
    #[must_use]
    pub fn key<'b>(&'b self, key: impl Into<Key<'b>>) -> Path<'b> {
        Path { step: Step::Key(key.into()), parent: Some(self) }
    }

    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if self.parent.is_none_or(Path::is_root) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

impl Default for Path<'_> {
    fn default() -> Self {
        Path::ROOT
    }
}

/// The violations of a request, by field.
#[derive(Debug, Default, Clone)]
pub struct Violations {
    named: Vec<(String, Cow<'static, str>)>,
    total: usize,
    /// The clock for rules about the present time; `None`: the system's.
    clock: Option<Clock>,
    /// The items that rules in CEL have evaluated; `None` before the first one.
    steps: Option<Arc<AtomicUsize>>,
    /// The fault of a rule in CEL that could not be evaluated.
    failure: Option<String>,
}

impl PartialEq for Violations {
    fn eq(&self, other: &Self) -> bool {
        (&self.named, self.total, &self.failure) == (&other.named, other.total, &other.failure)
    }
}

impl Violations {
    /// The most named violations; further ones are only counted. gRPC clients limit metadata to 8 KiB.
    pub const NAMED: usize = 50;

    /// Adds a violation; a field keeps its first message.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<Cow<'static, str>>) {
        if self.named.len() >= Self::NAMED {
            self.total += 1;
            return;
        }
        let field = field.into();
        if self.named.iter().all(|(other, _)| *other != field) {
            self.named.push((field, message.into()));
            self.total += 1;
        }
    }

    /// Adds the fault of a check, if any.
    pub fn check(&mut self, path: &Path<'_>, fault: Option<&'static str>) {
        match fault {
            None => {}
            // The violation is only counted, so that its path need not be formatted.
            Some(_) if self.named.len() >= Self::NAMED => self.total += 1,
            Some(message) => self.push(path.to_string(), message),
        }
    }

    /// Returns the present time, in seconds since 1970 and nanoseconds.
    pub fn now(&self) -> (i64, i32) {
        let now = self.clock.as_ref().map_or_else(|| Clock::default().now(), Clock::now);
        (now.timestamp(), now.timestamp_subsec_nanos().cast_signed())
    }

    /// Records that a rule could not be evaluated, so that the message is not valid.
    fn fail(&mut self, fault: String) {
        self.failure.get_or_insert(fault);
    }

    /// Returns whether there are no violations, and all rules were evaluated.
    pub fn is_empty(&self) -> bool {
        self.total == 0 && self.failure.is_none()
    }

    /// Returns the number of violations, named or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the named violations, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(field, message)| (field.as_str(), message.as_ref()))
    }

    /// Returns the named violations, in the order of the fields.
    pub fn into_inner(self) -> Vec<(String, String)> {
        self.named.into_iter().map(|(field, message)| (field, message.into_owned())).collect()
    }
}

/// `VALIDATION_FAILED`; without a violation, `INTERNAL_ERROR` for the rule that could not be evaluated.
impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        match violations.failure {
            Some(fault) if violations.total == 0 => Self::internal(anyhow::anyhow!(fault)),
            _ => Self::validation(violations.into_inner()),
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/validation.rs"));
