//! Retentions: how long the rows of tables are kept, as modules declare it beside their tables.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Config,
    source::{Reader, Variable, duration},
};

/// A declaration about one or more tables.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    tables: &'static [&'static str],
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Setting(AgeSetting),
    Reason(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AgeSetting {
    pub(super) variable: Variable,
    /// The shortest and the longest retention, as the configuration writes durations.
    pub(super) bounds: [&'static str; 2],
    /// Whether an empty value keeps the rows forever.
    pub(super) is_optional: bool,
}

impl Retention {
    /// Declares a retention that a variable configures: its name, default, bounds and meaning. Without tables, it is about
    /// objects in the storage of files.
    pub const fn of(
        tables: &'static [&'static str],
        name: &'static str,
        default: &'static str,
        bounds: [&'static str; 2],
        meaning: &'static str,
    ) -> Self {
        let variable = Variable::plain(name, default, meaning);
        Self { tables, rule: Rule::Setting(AgeSetting { variable, bounds, is_optional: false }) }
    }

    /// An empty value of the variable keeps the rows forever.
    #[must_use]
    pub const fn or_forever(self) -> Self {
        match self.rule {
            Rule::Setting(setting) => Self { rule: Rule::Setting(AgeSetting { is_optional: true, ..setting }), ..self },
            Rule::Reason(_) => self,
        }
    }

    /// Declares tables whose rows no setting removes by age, with the reason: when they are removed, or why they are kept.
    pub const fn without_age(tables: &'static [&'static str], reason: &'static str) -> Self {
        Self { tables, rule: Rule::Reason(reason) }
    }

    pub(super) fn setting(&self) -> Option<&AgeSetting> {
        match &self.rule {
            Rule::Setting(setting) => Some(setting),
            Rule::Reason(_) => None,
        }
    }

    /// Returns the name of the variable; `None` for tables whose rows no setting removes.
    pub fn variable(&self) -> Option<&'static str> {
        self.setting().map(|setting| setting.variable.name)
    }

    /// Returns the tables, with their schemas unless these are `public`.
    pub fn tables(&self) -> &'static [&'static str] {
        self.tables
    }

    /// Returns the retention of a configuration; `None` for rows that are kept forever.
    ///
    /// # Panics
    /// If no registered module has this declaration.
    pub fn kept(&self, config: &Config) -> Option<TimeDelta> {
        self.variable().and_then(|name| config.retention(name))
    }

    /// Returns the time before which rows are past their retention now; 1970 for rows that are kept forever.
    ///
    /// # Panics
    /// If no registered module has this declaration.
    pub fn start(&self, config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
        self.kept(config).and_then(|kept| now.checked_sub_signed(kept)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Returns the row of the declaration in a table of Markdown.
    pub fn row(&self) -> String {
        let tables: Vec<_> = self.tables.iter().map(|table| format!("`{table}`")).collect();
        let tables = if tables.is_empty() { "the storage of files".to_owned() } else { tables.join(", ") };
        match &self.rule {
            Rule::Reason(reason) => format!("| {tables} | | | {reason} |"),
            Rule::Setting(AgeSetting { variable, bounds: [shortest, longest], is_optional }) => {
                let forever = if *is_optional { ", or empty" } else { "" };
                let default = if variable.default.is_empty() { "empty" } else { variable.default };
                let name = variable.name;
                format!("| {tables} | `{name}` | {default} ({shortest} to {longest}{forever}) | {} |", variable.meaning)
            }
        }
    }
}

pub(super) fn read(retentions: &[Retention], read: &mut Reader) -> HashMap<&'static str, Option<TimeDelta>> {
    let settings = retentions.iter().filter_map(Retention::setting);
    settings
        .map(|AgeSetting { variable, bounds: [shortest, longest], is_optional }| {
            let kept = read.convert(variable.name, |text| {
                if text.is_empty() && *is_optional {
                    return Ok(None);
                }
                let (value, bounds) = (duration(text)?, duration(shortest)?..=duration(longest)?);
                if bounds.contains(&value) { Ok(Some(value)) } else { Err(format!("must be {shortest} to {longest}")) }
            });
            (variable.name, kept.and_then(|kept| TimeDelta::from_std(kept).ok()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn a_retention_is_within_its_bounds() {
        let always = Retention::of(&[], "TRIPS_KEPT", "30d", ["1d", "400d"], "How long trips are kept");
        for (retention, text, expected) in [
            (always, "1d", Ok(Some(1))),
            (always, "400d", Ok(Some(400))),
            (always, "23h", Err("TRIPS_KEPT: must be 1d to 400d")),
            (always, "401d", Err("TRIPS_KEPT: must be 1d to 400d")),
            (always, "", Err("TRIPS_KEPT: must be a number with a unit: ms, s, m, h or d")),
            (always.or_forever(), "", Ok(None)),
            (always.or_forever(), "0d", Err("TRIPS_KEPT: must be 1d to 400d")),
        ] {
            let variables = retention.setting().map(|setting| setting.variable);
            let mut reader = Reader::new(Source::of([("TRIPS_KEPT", text)]), variables.into_iter().collect());
            let kept = read(&[retention], &mut reader)["TRIPS_KEPT"];
            let faults: Vec<_> = reader.finish().1.iter().map(ToString::to_string).collect();
            match expected {
                Ok(days) => assert_eq!((kept, faults.len()), (days.map(TimeDelta::days), 0), "{text}"),
                Err(fault) => assert_eq!((kept, faults), (Some(TimeDelta::days(30)), vec![fault.to_owned()]), "{text}"),
            }
        }
    }
}
