//! Differences between a schema of the database and the migrations of a program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A schema that is behind this program, ahead of it, or both. Displayed with both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    schema: String,
    versions: [Option<String>; 2],
    missing: Vec<String>,
    unknown: Vec<String>,
}

impl Difference {
    pub(super) fn between(
        schema: &str,
        database: &BTreeSet<String>,
        program: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let missing = program.iter().filter(|(version, _)| !database.contains(*version));
        let difference = Self {
            schema: schema.to_owned(),
            // Versions are dates with a number, so that the latest one is the greatest.
            versions: [database.last().cloned(), program.keys().next_back().cloned()],
            missing: missing.map(|(_, name)| name.clone()).collect(),
            unknown: database.iter().filter(|version| !program.contains_key(*version)).cloned().collect(),
        };
        (difference.is_behind() || difference.is_ahead()).then_some(difference)
    }

    /// Returns whether the database lacks migrations.
    pub fn is_behind(&self) -> bool {
        !self.missing.is_empty()
    }

    fn is_ahead(&self) -> bool {
        !self.unknown.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [database, program] = &self.versions;
        write!(f, "the schema {} is ", self.schema)?;
        match database {
            Some(version) => write!(f, "at version {version}")?,
            None => write!(f, "empty")?,
        }
        let program = program.as_deref().unwrap_or("none");
        write!(f, ", this program ({}) needs version {program}", env!("CARGO_PKG_VERSION"))?;
        if self.is_behind() {
            write!(f, ": it lacks {}", self.missing.join(", "))?;
        }
        if self.is_ahead() {
            let and = if self.is_behind() { " and" } else { ": it" };
            write!(f, "{and} has {}, unknown to this program", self.unknown.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(database: &[&str]) -> Option<String> {
        let database = database.iter().map(|&version| version.to_owned()).collect();
        let program = [("1", "1_one"), ("2", "2_two")].map(|(version, name)| (version.to_owned(), name.to_owned()));
        Difference::between("fleet", &database, &program.into()).map(|difference| difference.to_string())
    }

    #[test]
    fn both_versions_are_named() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(difference(&["1", "2"]), None);
        let text = |middle: &str, end| {
            Some(format!("the schema fleet is {middle}, this program ({version}) needs version 2: {end}"))
        };
        assert_eq!(difference(&[]), text("empty", "it lacks 1_one, 2_two"));
        assert_eq!(difference(&["1"]), text("at version 1", "it lacks 2_two"));
        assert_eq!(difference(&["1", "2", "3"]), text("at version 3", "it has 3, unknown to this program"));
        assert_eq!(difference(&["1", "3"]), text("at version 3", "it lacks 2_two and has 3, unknown to this program"));
    }
}
