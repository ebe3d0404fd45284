//! Finds values that satisfy a condition, by trying values derived from its constants.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use tokio_postgres::{Client, Error};

use super::shape::Column;

/// The maximum number of combinations of values that are tried.
const MOST_COMBINATIONS: usize = 100_000;
/// The maximum length of a generated text, in characters, derived from a number in a condition.
const LONGEST_TEXT: i64 = 10_000;

/// A column with its candidate values, in SQL.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) column: String,
    pub(super) type_name: String,
    pub(super) values: Vec<String>,
}

/// Returns the first values, in SQL, that satisfy a condition.
pub(super) async fn find(client: &Client, fields: &[Field], condition: &str) -> Result<Option<Vec<String>>, Error> {
    if fields.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let columns: Vec<_> =
        fields.iter().map(|field| format!("quote_nullable({}::text)", quoted(&field.column))).collect();
    let lists: Vec<_> = fields.iter().enumerate().map(|(number, field)| list(number, field)).collect();
    let query = format!("SELECT {} FROM {} WHERE {condition} LIMIT 1", columns.join(", "), lists.join(", "));
    let row = client.query_opt(&query, &[]).await?;
    Ok(row.map(|row| (0..fields.len()).map(|index| row.get(index)).collect()))
}

fn list(number: usize, Field { column, type_name, values }: &Field) -> String {
    let rows: Vec<_> = values.iter().map(|value| format!("(CAST({value} AS {type_name}))")).collect();
    format!("(VALUES {}) AS field_{number} ({})", rows.join(", "), quoted(column))
}

/// Shortens the lists of values, the longest ones first, until all their combinations can be tried.
pub(super) fn limit(fields: &mut [Field]) {
    while combinations(fields) > MOST_COMBINATIONS {
        let Some(longest) = fields.iter_mut().max_by_key(|field| field.values.len()) else { return };
        longest.values.pop();
    }
}

fn combinations(fields: &[Field]) -> usize {
    fields.iter().fold(1, |product: usize, field| product.saturating_mul(field.values.len().max(1)))
}

/// Returns candidate values, in SQL, of a column in these conditions: the constants, their neighbors, and some common
/// values. `id` is the value of every UUID, so that references between rows match.
pub(super) fn values(column: &Column, conditions: &str, id: &str) -> Vec<String> {
    static TEXT: LazyLock<Regex> = LazyLock::new(|| Regex::new("'(?:[^']|'')*'").expect("an expression"));
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new("[0-9]+").expect("an expression"));
    let numbers = NUMBER.find_iter(conditions).filter_map(|number| number.as_str().parse::<i64>().ok());
    let near: BTreeSet<_> =
        numbers.flat_map(|number| [number.saturating_sub(1), number, number.saturating_add(1)]).collect();
    let lengths = || near.iter().copied().filter(|length| (1..=LONGEST_TEXT).contains(length));
    let strings = |values: &[&str]| values.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>();
    match column.type_name.as_str() {
        "uuid" => strings(&[id]),
        "boolean" => strings(&["false", "true"]),
        "smallint" => integers(&near, i64::from(i16::MAX)),
        "integer" => integers(&near, i64::from(i32::MAX)),
        "bigint" | "numeric" | "real" | "double precision" => integers(&near, i64::MAX),
        "text" | "character varying" => {
            let mut texts: Vec<_> = TEXT.find_iter(conditions).map(|text| text.as_str().to_owned()).collect();
            texts.extend(strings(&["a", "EUR", "a@example.com", "https://example.com", "b@example.com", ""]));
            texts.extend(lengths().map(|length| format!("repeat('a', {length})")));
            texts
        }
        "bytea" => {
            let lengths: Vec<_> = lengths().chain([0, 32]).collect();
            let bytes = |byte: &'static str| {
                lengths.iter().map(move |length| format!("decode(repeat('{byte}', {length}), 'hex')"))
            };
            bytes("00").chain(bytes("01")).collect()
        }
        "json" | "jsonb" => strings(&["{}", "[]"]),
        "date" => strings(&["2026-01-01", "2030-01-01"]),
        "interval" => strings(&["1 day", "1 month"]),
        "inet" => strings(&["127.0.0.1"]),
        "tsvector" => strings(&["", "a:1"]),
        name if name.starts_with("timestamp") => strings(&["2026-01-01 00:00:00Z", "2030-01-01 00:00:00Z"]),
        name if name.ends_with("[]") => strings(&["{}"]),
        _ => Vec::new(),
    }
}

fn integers(near: &BTreeSet<i64>, largest: i64) -> Vec<String> {
    let common = [1, 2, 3, 0, -1];
    let near = near.iter().copied().filter(|number| !common.contains(number) && (-largest..=largest).contains(number));
    common.into_iter().chain(near).map(|number| format!("({number})")).collect()
}

/// Quotes a name for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
