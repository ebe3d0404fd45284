//! The files `schema.rs` match the migrated database.

use std::collections::BTreeMap;

use crate::support::TestDatabase;

type Tables = BTreeMap<String, Vec<(String, String)>>;

/// The tables in the files: columns in order, with diesel's types.
fn tables_in_files() -> Tables {
    let files = ["crates/kernel/src/database/schema.rs", "crates/schema/src/lib.rs"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text: String = files.map(|file| std::fs::read_to_string(root.join(file)).expect(file)).concat();
    let mut tables = Tables::new();
    for block in text.split("diesel::table! {").skip(1) {
        let (name, rest) = block.split_once('(').expect("a primary key");
        let (_, rest) = rest.split_once('{').expect("columns");
        let (columns, _) = rest.split_once('}').expect("an end");
        let columns = columns.split(',').filter_map(|column| column.split_once("->"));
        let columns = columns.map(|(column, kind)| (column.trim().to_owned(), kind.trim().to_owned())).collect();
        tables.insert(name.trim().to_owned(), columns);
    }
    tables
}

/// Returns the tables in the database, in the same form, without the columns that Postgres computes: generated columns,
/// and text search vectors.
async fn real() -> Tables {
    let database = TestDatabase::new().await;
    let rows = database
        .sql(
            "SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns
             JOIN information_schema.tables USING (table_schema, table_name)
             WHERE table_schema = 'public' AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)
               AND table_name <> '__diesel_schema_migrations'
               AND is_generated = 'NEVER' AND udt_name <> 'tsvector' AND table_type = 'BASE TABLE'
             ORDER BY table_name, ordinal_position",
        )
        .await;
    let mut tables = Tables::new();
    for row in rows {
        let [Some(table), Some(column), Some(kind), Some(nullable)] = row.as_slice() else { panic!("{row:?}") };
        let kind = diesel_type(kind);
        let kind = if nullable == "YES" { format!("Nullable<{kind}>") } else { kind };
        tables.entry(table.clone()).or_default().push((column.clone(), kind));
    }
    tables
}

fn diesel_type(postgres: &str) -> String {
    if let Some(item) = postgres.strip_prefix('_') {
        return format!("Array<{}>", diesel_type(item));
    }
    let name = match postgres {
        "uuid" => "Uuid",
        "text" => "Text",
        "bytea" => "Binary",
        "int2" => "SmallInt",
        "int4" => "Integer",
        "int8" => "BigInt",
        "bool" => "Bool",
        "timestamptz" => "Timestamptz",
        "json" => "Json",
        "jsonb" => "Jsonb",
        other => panic!("a type diesel's schema has no word for here: {other}"),
    };
    name.to_owned()
}

#[tokio::test]
async fn the_schema_matches_the_database() {
    let (tables, real) = (tables_in_files(), real().await);
    assert!(tables.len() >= 8, "nothing was read: {tables:?}");
    for (table, columns) in &tables {
        assert_eq!(Some(columns), real.get(table), "{table}");
    }
    // A table that is never queried through diesel may be missing from the schema, but only deliberately.
    let unwritten: Vec<_> = real.keys().filter(|table| !tables.contains_key(*table)).collect();
    assert!(unwritten.is_empty(), "not in schema.rs: {unwritten:?}");
}
