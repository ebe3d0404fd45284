//! A writer for the shape before a migration: all statements that worked before must still work afterwards.

use tokio_postgres::{Client, Error};

use super::{
    ID, OTHER_ID,
    example::{self, Field},
    shape::{Relation, Shape},
};

const TRANSACTION: &str = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE";

/// A statement that succeeded.
#[derive(Debug)]
struct Statement {
    table: String,
    sql: String,
}

/// Statements that succeed in the shape for which they were generated, in this order and in one transaction.
#[derive(Debug)]
pub(super) struct Script(Vec<Statement>);

impl Script {
    /// Inserts a row into every table for which one can be generated, and returns further statements that succeeded:
    /// reading and writing the rows, inserting others, and deleting all. A table with a column that is to be contracted
    /// is only read.
    pub(super) async fn prepare(client: &Client, shape: &Shape) -> Self {
        let tables: Vec<_> = shape.relations.iter().filter(|(_, relation)| !relation.is_contracted).collect();
        let targets: Vec<_> = tables.iter().copied().filter(|(_, relation)| is_written(relation)).collect();
        let (first, second) = (inserts(client, &targets, false).await, inserts(client, &targets, true).await);
        execute(client, TRANSACTION).await;
        insert(client, first).await;
        execute(client, "COMMIT").await;

        execute(client, TRANSACTION).await;
        let mut script = Vec::new();
        for (name, relation) in &tables {
            script.extend(attempt(client, name, select(name, relation)).await.ok());
        }
        for (name, relation) in &targets {
            script.extend(attempt(client, name, update(name, relation)).await.ok());
        }
        let inserted = insert(client, second).await;
        let removed: Vec<_> = inserted.iter().rev().map(|statement| statement.table.clone()).collect();
        script.extend(inserted);
        for name in removed {
            script.extend(attempt(client, &name, format!("DELETE FROM {name}")).await.ok());
        }
        execute(client, "ROLLBACK").await;
        Self(script)
    }

    /// Runs the statements, rolls them back, and returns the ones that no longer work.
    pub(super) async fn run(self, client: &Client) -> Vec<String> {
        execute(client, TRANSACTION).await;
        let mut faults = Vec::new();
        for Statement { table, sql } in self.0 {
            if let Err(error) = attempt(client, &table, sql.clone()).await {
                let why = super::why(&error);
                faults.push(format!("{table}: {why}: the version before could run {sql}. Let it go on to work"));
            }
        }
        execute(client, "ROLLBACK").await;
        faults
    }

    /// Returns the tables that the script inserts into.
    #[cfg(test)]
    pub(super) fn inserted(&self) -> Vec<&str> {
        let inserts = self.0.iter().filter(|statement| statement.sql.starts_with("INSERT"));
        inserts.map(|statement| statement.table.as_str()).collect()
    }
}

fn is_written(relation: &Relation) -> bool {
    relation.is_table && relation.columns.values().all(|column| !column.is_contracted)
}

/// Generates a row for each table that satisfies its checks. References and triggers are only checked on insertion.
async fn inserts(client: &Client, tables: &[(&String, &Relation)], is_second: bool) -> Vec<Statement> {
    let mut inserts = Vec::new();
    for (table, relation) in tables {
        let fields = fields(relation, is_second);
        let mut conditions: Vec<_> =
            relation.checks.iter().map(|check| format!("({}) IS NOT FALSE", check.condition)).collect();
        conditions.push("true".to_owned());
        let Ok(Some(values)) = example::find(client, &fields, &conditions.join(" AND ")).await else { continue };
        let columns: Vec<_> = fields.iter().map(|field| example::quoted(&field.column)).collect();
        let sql = match columns.as_slice() {
            [] => format!("INSERT INTO {table} DEFAULT VALUES"),
            columns => format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", ")),
        };
        inserts.push(Statement { table: (*table).clone(), sql });
    }
    inserts
}

/// Returns the columns that a row must have or that its checks mention, with candidate values.
fn fields(relation: &Relation, is_second: bool) -> Vec<Field> {
    let texts: String = relation.checks.iter().map(|check| format!("{} ", check.condition)).collect();
    let id = if is_second { OTHER_ID } else { ID };
    let mut fields = Vec::new();
    for (name, column) in relation.columns.iter().filter(|(_, column)| !column.is_generated) {
        let is_needed = column.is_required && !column.has_default;
        let is_checked = relation.checks.iter().any(|check| check.columns.contains(name));
        if !is_needed && !is_checked {
            continue;
        }
        let mut values = example::values(column, &texts, id);
        if is_second {
            values.reverse();
        }
        let absent = if column.is_required { column.default.clone() } else { Some("NULL".to_owned()) };
        let values = absent.into_iter().chain(values).collect();
        fields.push(Field { column: name.clone(), type_name: column.type_name.clone(), values });
    }
    fields
}

/// Inserts as many of these rows as possible, each after the rows that it refers to, and returns their statements in
/// that order.
async fn insert(client: &Client, mut waiting: Vec<Statement>) -> Vec<Statement> {
    let mut inserted = Vec::new();
    loop {
        let before = inserted.len();
        let mut rest = Vec::new();
        for Statement { table, sql } in waiting {
            match attempt(client, &table, sql.clone()).await {
                Ok(statement) => inserted.push(statement),
                Err(_) => rest.push(Statement { table, sql }),
            }
        }
        if inserted.len() == before {
            return inserted;
        }
        waiting = rest;
    }
}

fn select(name: &str, relation: &Relation) -> String {
    let columns = relation.columns.iter().filter(|(_, column)| !column.is_contracted);
    let columns: Vec<_> = columns.map(|(column, _)| example::quoted(column)).collect();
    format!("SELECT {} FROM {name}", columns.join(", "))
}

fn update(name: &str, relation: &Relation) -> String {
    let columns = relation.columns.iter().filter(|(_, column)| !column.is_generated);
    let columns: Vec<_> = columns.map(|(column, _)| format!("{0} = {0}", example::quoted(column))).collect();
    format!("UPDATE {name} SET {}", columns.join(", "))
}

/// Runs a statement of a transaction in a savepoint, so that a failure has no effect.
async fn attempt(client: &Client, table: &str, sql: String) -> Result<Statement, Error> {
    execute(client, "SAVEPOINT attempt").await;
    let result = client.batch_execute(&sql).await;
    let end = if result.is_ok() { "RELEASE attempt" } else { "ROLLBACK TO attempt" };
    execute(client, end).await;
    result.map(|()| Statement { table: table.to_owned(), sql })
}

async fn execute(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}
