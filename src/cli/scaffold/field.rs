//! The fields of a resource, as the command line names them: `title:string`, `price:money?`, `author:ref(author)`, and
//! `sold_at:timestamp?!` for one that the server sets.

mod code;
mod kinds;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;

use super::name::{self, POSTGRES, RUST, Resource, camel, check, refuse};

/// The maximum number of columns for the fields: diesel is configured for 32, and every resource needs five of them.
const MAX_COLUMNS: usize = 32 - 5;

/// Names that the code and the contract of a resource use beside its fields.
const TAKEN: &str = "account account_id call columns corrupt create_time created_at data deleted_id id meta next now page \
                     page_size page_token read_mask resume_token row self star table update_mask update_time updated_at \
                     values version";

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The name in the contract, the model and the table; that of a reference ends with `_id`.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_optional: bool,
    /// Whether the server alone sets the field. Then it is in no request.
    pub(super) is_output: bool,
}

/// The kind of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Text,
    Int,
    Bool,
    Date,
    Timestamp,
    Money,
    Uuid,
    Strings,
    Map,
    Ref(Target),
    Enum(Vec<String>),
}

/// The resource that a field refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) plural: String,
    /// The type of its id.
    pub(super) id: String,
    /// The name with its article, for the names of tests.
    article: String,
}

/// The kinds without arguments.
static PLAIN: [(&str, Kind); 10] = [
    ("string", Kind::String),
    ("text", Kind::Text),
    ("int", Kind::Int),
    ("bool", Kind::Bool),
    ("date", Kind::Date),
    ("timestamp", Kind::Timestamp),
    ("money", Kind::Money),
    ("uuid", Kind::Uuid),
    ("string[]", Kind::Strings),
    ("map", Kind::Map),
];

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Ref(_) => "ref",
            Self::Enum(_) => "enum",
            plain => PLAIN.iter().find(|(_, kind)| kind == plain).map_or("", |(name, _)| *name),
        }
    }

    /// Returns whether a value is empty rather than absent.
    pub(super) fn is_collection(&self) -> bool {
        matches!(self, Self::Strings | Self::Map)
    }

    fn parse(root: &Path, text: &str) -> anyhow::Result<Self> {
        let arguments = |of: &str| text.strip_prefix(of)?.strip_prefix('(')?.strip_suffix(')');
        if let Some((_, kind)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(kind.clone());
        }
        match (arguments("ref"), arguments("enum")) {
            (Some(target), _) => Ok(Self::Ref(Target::find(root, target)?)),
            (_, Some(values)) => Ok(Self::Enum(parse_values(values)?)),
            _ => bail!(
                "{text:?} is not a kind: use string, text, int, bool, date, timestamp, money, uuid, string[], map, \
                 ref(resource) or enum(value,value), with `?` behind it for an optional field, and `!` for one that the \
                 server sets"
            ),
        }
    }
}

fn parse_values(values: &str) -> anyhow::Result<Vec<String>> {
    let values: Vec<_> = values.split(',').map(|value| value.trim().to_owned()).collect();
    let mut known = BTreeSet::new();
    for value in &values {
        check(value)?;
        refuse(value, "a word of Rust", RUST)?;
        ensure!(value != "unspecified", "the value unspecified is in every enum");
        ensure!(known.insert(value), "the value {value} is named twice");
    }
    Ok(values)
}

impl Target {
    /// Finds a resource that the generator wrote.
    pub(super) fn find(root: &Path, resource: &str) -> anyhow::Result<Self> {
        let read = |file: String| fs::read_to_string(root.join(file)).unwrap_or_default();
        check(resource)?;
        let store = read(format!("src/{resource}/store.rs"));
        let table =
            store.split_once("table_name = ").map(|(_, rest)| rest.split([',', ')']).next().unwrap_or_default());
        let plural = table.with_context(|| format!("there is no resource {resource}: add it first"))?.to_owned();
        let requires = [
            (format!("src/{resource}/ops.rs"), "pub async fn require("),
            (format!("tests/it/{plural}.rs"), "pub(crate) async fn create(caller: &Client)"),
        ];
        for (file, function) in requires {
            ensure!(read(file.clone()).contains(function), "{file} has no `{function}`, which a reference calls");
        }
        let article = format!("{}_{resource}", name::article(resource));
        Ok(Self { name: resource.to_owned(), plural, id: format!("{}Id", camel(resource)), article })
    }
}

impl Field {
    /// Parses a field, such as `price:money?`.
    pub(super) fn parse(root: &Path, text: &str) -> anyhow::Result<Self> {
        let (name, kind) = text.split_once(':').context("give a name and a kind, such as title:string")?;
        let (kind, is_output) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
        let (kind, is_optional) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
        check(name)?;
        let kind = Kind::parse(root, kind)?;
        let is_reference = matches!(kind, Kind::Ref(_));
        let name = if is_reference && !name.ends_with("_id") { format!("{name}_id") } else { name.to_owned() };
        refuse(&name, "a word of Rust", RUST)?;
        refuse(&name, "a word of Postgres", POSTGRES)?;
        refuse(&name, "taken by the code around it", TAKEN)?;
        let is_enum = matches!(kind, Kind::Enum(_));
        ensure!(!(is_enum && ["patch", "service"].contains(&name.as_str())), "{name}: the contract has such a type");
        let is_collection = kind.is_collection();
        ensure!(!(is_optional && is_collection), "a list or a map is empty rather than absent: leave out the `?`");
        ensure!(!(is_output && is_reference), "callers set a reference: leave out the `!`, or use the kind uuid");
        let has_initial = is_optional || is_collection || matches!(kind, Kind::Int | Kind::Bool | Kind::Enum(_));
        ensure!(
            !is_output || has_initial,
            "a new resource has no value that the server could set: add a `?` before the `!`"
        );
        Ok(Self { name, kind, is_optional, is_output })
    }

    /// Parses the fields of a resource.
    ///
    /// # Errors
    /// Every fault of every field.
    pub(super) fn parse_all(
        root: &Path,
        resource: Option<&Resource>,
        texts: &[String],
    ) -> Result<Vec<Self>, Vec<String>> {
        let (mut fields, mut faults) = (Vec::new(), Vec::new());
        for text in texts {
            match Self::parse(root, text) {
                Ok(field) => fields.push(field),
                Err(fault) => faults.push(format!("{text}: {fault:#}")),
            }
        }
        let names = resource.into_iter().flat_map(|resource| [resource.name.clone(), resource.plural.clone()]);
        let mut known: BTreeSet<_> = names.collect();
        for name in fields.iter().flat_map(Self::names) {
            if !known.insert(name.clone()) {
                faults.push(format!(
                    "{name} is named twice: the resource, its table, its fields and their columns differ"
                ));
            }
        }
        let columns = fields.iter().map(|field| if field.kind == Kind::Money { 2 } else { 1 }).sum::<usize>();
        if columns > MAX_COLUMNS {
            faults.push(format!("the fields need {columns} columns; a table has at most {MAX_COLUMNS} beside its own"));
        }
        if faults.is_empty() { Ok(fields) } else { Err(faults) }
    }

    /// Returns the names that no other field can have.
    fn names(&self) -> Vec<String> {
        let own = vec![self.name.clone()];
        let suffixes: &[&str] = if self.kind == Kind::Money { &["_minor", "_currency"] } else { &[] };
        own.into_iter().chain(suffixes.iter().map(|suffix| format!("{}{suffix}", self.name))).collect()
    }

    fn target(&self) -> Option<&Target> {
        if let Kind::Ref(target) = &self.kind { Some(target) } else { None }
    }

    /// Describes the field in the contract.
    fn summary(&self) -> String {
        let words = self.name.replace('_', " ");
        let condition = if self.is_optional { ", if any" } else { "" };
        match &self.kind {
            Kind::Bool => format!("Whether it is {}.", words.strip_prefix("is ").unwrap_or(&words)),
            Kind::Date | Kind::Timestamp if words.ends_with(" on") || words.ends_with(" at") => {
                let when = if self.is_optional { ", if ever" } else { "" };
                format!("When it was, or will be, {}{when}.", &words[..words.len() - 3])
            }
            Kind::Ref(target) => {
                let words = words.strip_suffix(" id").unwrap_or(&words);
                let (article, target) = (name::article(&target.name), target.name.replace('_', " "));
                if words == target {
                    format!("The id of the {words}{condition}.")
                } else {
                    format!("The id of the {words}, {article} {target}{condition}.")
                }
            }
            _ => format!("The {words}{condition}."),
        }
    }
}

#[cfg(test)]
mod tests;
