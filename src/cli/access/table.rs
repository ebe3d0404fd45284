//! The access matrix as text and as Markdown.

use std::fmt::Write as _;

use super::matrix::{ANYONE, AccessMatrix, MethodRow, ScopeRow};

impl AccessMatrix {
    /// Returns the matrix as aligned text.
    pub(crate) fn text(&self) -> String {
        let row = |(name, row): (&String, &MethodRow)| [vec![name.clone(), row.scopes()], row.cells()].concat();
        let rows: Vec<_> = self.methods.iter().map(row).collect();
        let header: Vec<_> = ["method", "scope"].into_iter().chain(Self::columns()).map(str::to_owned).collect();
        let mut text = String::new();
        let all = || std::iter::once(&header).chain(&rows);
        let widths: Vec<_> =
            (0..header.len()).map(|index| all().map(|row| row[index].len()).max().unwrap_or_default()).collect();
        for row in all() {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text += cells.join("  ").trim_end();
            text += "\n";
        }
        text
    }

    /// Returns the matrix as Markdown: a table of the scopes, and one of the methods of each service.
    pub(crate) fn markdown(&self) -> String {
        let columns: Vec<_> = Self::columns().map(|name| name.replace('_', " ")).collect();
        let roles = &columns[..columns.len() - 1];
        let mut text = format!("## Scopes\n\n| scope | title | permits | {} |\n", roles.join(" | "));
        text += &format!("|---|---|---|{}\n", ":-:|".repeat(roles.len()));
        for (name, ScopeRow { summary, title, holders }) in &self.scopes {
            let is_held = |column: &str| holders.iter().any(|holder| holder == column);
            let cells = Self::columns().take(roles.len()).map(|column| if is_held(column) { "yes" } else { "" });
            writeln!(text, "| `{name}` | {title} | {summary} | {} |", cells.collect::<Vec<_>>().join(" | ")).ok();
        }
        text += "\n## Methods\n";
        let mut service = "";
        for (name, row) in &self.methods {
            let (of, method) = name.rsplit_once('/').unwrap_or(("", name));
            if of != service {
                service = of;
                let columns = columns.join(" | ");
                let line = "---|".repeat(2 + Self::columns().count());
                write!(text, "\n### {of}\n\n| method | scope | {columns} |\n|{line}\n").ok();
            }
            let scopes: Vec<_> = row.scopes().split_whitespace().map(|scope| format!("`{scope}`")).collect();
            writeln!(text, "| {method} | {} | {} |", scopes.join(" "), row.cells().join(" | ")).ok();
        }
        text
    }
}

impl MethodRow {
    fn scopes(&self) -> String {
        format!("{} {}", self.scope, self.scope_for_any).trim().to_owned()
    }

    fn cells(&self) -> Vec<String> {
        let anyone = self.reach.get(ANYONE).map_or("-", String::as_str);
        let cell = |column| self.reach.get(column).map_or(anyone, |reach| short(reach)).to_owned();
        AccessMatrix::columns().map(cell).collect()
    }
}

fn short(reach: &str) -> &str {
    match reach {
        "own account" => "account",
        "own user" => "self",
        other => other,
    }
}
