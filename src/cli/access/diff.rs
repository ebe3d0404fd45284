//! The differences between two access matrices, for the review of a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::matrix::{ANYONE, AccessMatrix, MethodRow, ScopeRow};

impl AccessMatrix {
    /// Returns the differences from this matrix to a later one, one line each; empty if there is none.
    pub(crate) fn diff(&self, later: &Self) -> String {
        let mut text = String::new();
        for (name, pair) in pairs(&self.scopes, &later.scopes) {
            match pair {
                (None, Some(new)) => writeln!(text, "+ scope {name}: {}", new.held()),
                (Some(old), None) => writeln!(text, "- scope {name}: {}", old.held()),
                (Some(old), Some(new)) if old.holders != new.holders => {
                    writeln!(text, "~ scope {name}: {} → {}", old.held(), new.held())
                }
                _ => Ok(()),
            }
            .ok();
        }
        for (name, pair) in pairs(&self.methods, &later.methods) {
            match pair {
                (None, Some(new)) => writeln!(text, "+ {name}: {}", new.callers()),
                (Some(old), None) => writeln!(text, "- {name}: {}", old.callers()),
                (Some(old), Some(new)) if old != new => writeln!(text, "~ {name}: {}", old.changes(new)),
                _ => Ok(()),
            }
            .ok();
        }
        text
    }
}

impl ScopeRow {
    fn held(&self) -> String {
        if self.holders.is_empty() { "no role".to_owned() } else { self.holders.join(", ") }
    }
}

impl MethodRow {
    fn callers(&self) -> String {
        let callers = names().filter_map(|name| Some(format!("{name} {}", self.reach.get(name)?)));
        let callers = callers.collect::<Vec<_>>().join(", ");
        if self.scope.is_empty() { callers } else { format!("{callers} (scope {})", self.scope) }
    }

    fn changes(&self, later: &Self) -> String {
        let said = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let scopes =
            [("scope", &self.scope, &later.scope), ("scope for any", &self.scope_for_any, &later.scope_for_any)];
        let scopes = scopes.into_iter().filter(|(_, old, new)| old != new);
        let scopes = scopes.map(|(what, old, new)| format!("{what} {} → {}", said(old), said(new)));
        let reach = |row: &Self, name| row.reach.get(name).cloned().unwrap_or_else(|| "refused".to_owned());
        let callers = names().map(|name| (name, reach(self, name), reach(later, name)));
        let callers =
            callers.filter(|(_, old, new)| old != new).map(|(name, old, new)| format!("{name} {old} → {new}"));
        scopes.chain(callers).collect::<Vec<_>>().join(", ")
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    [ANYONE].into_iter().chain(AccessMatrix::columns())
}

/// Returns the rows of both maps, by name.
fn pairs<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, (Option<&'a T>, Option<&'a T>))> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.into_iter().map(|name| (name, (old.get(name), new.get(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the matrix of a contract with a method of the staff, and one that is public.
    fn get_and_login() -> AccessMatrix {
        let row = |scope: &str, caller: &str, reach: &str| MethodRow {
            scope: scope.to_owned(),
            scope_for_any: String::new(),
            reach: BTreeMap::from([(caller.to_owned(), reach.to_owned())]),
        };
        let (summary, title) = ("Read vehicles".to_owned(), "Read vehicles".to_owned());
        let scope = ScopeRow { summary, title, holders: vec!["staff_admin".to_owned()] };
        let methods = [
            ("fleet.v1.Vehicles/Get", row("fleet.vehicles.read", "staff_admin", "any")),
            ("fleet.v1.Vehicles/Login", row("", ANYONE, "public")),
        ];
        AccessMatrix {
            scopes: BTreeMap::from([("fleet.vehicles.read".to_owned(), scope)]),
            methods: methods.map(|(name, row)| (name.to_owned(), row)).into(),
        }
    }

    #[test]
    fn a_diff_names_what_changed() {
        let old = get_and_login();
        assert_eq!(old.diff(&old), "");
        let mut new = old.clone();
        let scope = new.scopes.get_mut("fleet.vehicles.read").expect("the scope");
        scope.holders.push("agent".to_owned());
        let method = new.methods.get_mut("fleet.v1.Vehicles/Get").expect("the method");
        method.reach.insert("agent".to_owned(), "any".to_owned());
        method.scope_for_any = "fleet.vehicles.list".to_owned();
        new.methods.remove("fleet.v1.Vehicles/Login");
        let expected = "~ scope fleet.vehicles.read: staff_admin → staff_admin, agent\n\
             ~ fleet.v1.Vehicles/Get: scope for any none → fleet.vehicles.list, agent refused → any\n\
             - fleet.v1.Vehicles/Login: anyone public\n";
        assert_eq!(old.diff(&new), expected);
        assert!(new.diff(&old).contains("+ fleet.v1.Vehicles/Login: anyone public"), "{}", new.diff(&old));
    }

    #[test]
    fn a_matrix_is_read_as_it_was_saved() {
        let matrix = get_and_login();
        let json = serde_json::to_vec_pretty(&matrix).expect("JSON");
        assert_eq!(AccessMatrix::read(&json), Ok(matrix));
        AccessMatrix::read(b"{}").expect_err("no matrix");
        AccessMatrix::read(b"text").expect_err("no descriptor set");
    }
}
