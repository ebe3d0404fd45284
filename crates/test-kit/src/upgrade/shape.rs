//! The shape of a database: the tables, views, sequences and functions that a program can rely on.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row};

/// The tables, views and sequences of some schemas, and the functions, each with the type of its result.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// By their names in SQL.
    pub(super) relations: BTreeMap<String, Relation>,
    /// The functions, each with a flag whether it is to be contracted: a later migration may remove or restrict it,
    /// because its comment in the database begins with these words. Trigger functions are excluded, because no program
    /// calls them.
    pub(super) functions: BTreeMap<String, bool>,
}

#[derive(Debug, Default)]
pub(super) struct Relation {
    pub(super) is_table: bool,
    pub(super) is_contracted: bool,
    pub(super) columns: BTreeMap<String, Column>,
    pub(super) checks: Vec<Check>,
    pub(super) uniques: Vec<Unique>,
    pub(super) references: Vec<Reference>,
}

#[derive(Debug)]
pub(super) struct Column {
    /// Without its length or precision.
    pub(super) type_name: String,
    /// As Postgres encodes length and precision; -1 is unlimited.
    pub(super) modifier: i32,
    pub(super) is_required: bool,
    /// Whether an insert may omit the column although it is required.
    pub(super) has_default: bool,
    /// The default in SQL; identities and generated columns have none.
    pub(super) default: Option<String>,
    /// Whether Postgres always generates the values.
    pub(super) is_generated: bool,
    pub(super) is_contracted: bool,
}

#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) condition: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unique {
    pub(super) name: String,
    /// Columns and expressions.
    pub(super) keys: Vec<String>,
    /// The columns that the keys and the predicate read.
    pub(super) columns: Vec<String>,
    /// The predicate of a partial index; empty if the index covers all rows.
    pub(super) predicate: String,
    pub(super) nulls_collide: bool,
}

/// A foreign key or an exclusion constraint.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) is_foreign_key: bool,
    pub(super) columns: Vec<String>,
    pub(super) definition: String,
}

/// The relations that a program can name. Partitions and owned sequences belong to their tables.
const RELATIONS: &str = "
    SELECT pg_class.oid, relkind FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname::text = ANY ($1) AND relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT relispartition
        AND relname <> '__diesel_schema_migrations' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                AND relkind = 'S' AND deptype IN ('a', 'i'))";

const TABLES: &str = "
    SELECT oid::regclass::text, relkind IN ('r', 'p'),
        coalesce(obj_description(oid, 'pg_class') LIKE 'to be contracted%', false)
    FROM relation";

const COLUMNS: &str = "
    SELECT attrelid::regclass::text, attname::text, format_type(atttypid, NULL), atttypmod, attnotnull,
        atthasdef OR attidentity <> '', CASE attgenerated WHEN '' THEN pg_get_expr(adbin, adrelid) END,
        attidentity = 'a' OR attgenerated <> '', coalesce(col_description(attrelid, attnum) LIKE 'to be contracted%', false)
    FROM relation JOIN pg_attribute ON attrelid = oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind <> 'S' AND attnum > 0 AND NOT attisdropped";

const CHECKS: &str = "
    SELECT conrelid::regclass::text, conname::text,
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)),
        pg_get_expr(conbin, conrelid)
    FROM relation JOIN pg_constraint ON conrelid = relation.oid
    WHERE contype = 'c' ORDER BY conname";

/// The index of a constraint depends on the constraint, not on its columns.
const UNIQUES: &str = "
    SELECT indrelid::regclass::text, indexrelid::regclass::text,
        ARRAY(SELECT pg_get_indexdef(indexrelid, n, true) FROM generate_series(1, indnkeyatts) AS n),
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = indrelid AND attnum > 0 AND (
            attnum = ANY (indkey::int2[]) OR attnum IN (
                SELECT refobjsubid FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = indexrelid
                    AND refclassid = 'pg_class'::regclass AND refobjid = indrelid))),
        coalesce(pg_get_expr(indpred, indrelid), ''), indnullsnotdistinct
    FROM relation JOIN pg_index ON indrelid = oid
    WHERE indisunique ORDER BY indexrelid::regclass::text";

const REFERENCES: &str = "
    SELECT conrelid::regclass::text, conname::text, contype = 'f',
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)),
        regexp_replace(pg_get_constraintdef(pg_constraint.oid), ' NOT VALID$', '')
    FROM relation JOIN pg_constraint ON conrelid = relation.oid
    WHERE contype IN ('f', 'x') ORDER BY conname";

const FUNCTIONS: &str = "
    SELECT pg_proc.oid::regprocedure::text || coalesce(' returning ' || pg_get_function_result(pg_proc.oid), ''),
        coalesce(obj_description(pg_proc.oid, 'pg_proc') LIKE 'to be contracted%', false)
    FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname::text = ANY ($1) AND prorettype <> 'trigger'::regtype";

impl Shape {
    /// Reads the shape of these schemas.
    pub(super) async fn read(client: &Client, schemas: &[&str]) -> Self {
        let mut relations = BTreeMap::new();
        for row in of_relations(client, schemas, TABLES).await {
            let relation = Relation { is_table: row.get(1), is_contracted: row.get(2), ..Relation::default() };
            relations.insert(row.get::<_, String>(0), relation);
        }
        for row in of_relations(client, schemas, COLUMNS).await {
            let column = Column {
                type_name: row.get(2),
                modifier: row.get(3),
                is_required: row.get(4),
                has_default: row.get(5),
                default: row.get(6),
                is_generated: row.get(7),
                is_contracted: row.get(8),
            };
            of(&mut relations, &row).columns.insert(row.get(1), column);
        }
        for row in of_relations(client, schemas, CHECKS).await {
            let check = Check { name: row.get(1), columns: row.get(2), condition: row.get(3) };
            of(&mut relations, &row).checks.push(check);
        }
        for row in of_relations(client, schemas, UNIQUES).await {
            let (keys, columns) = (row.get(2), row.get(3));
            let unique = Unique { name: row.get(1), keys, columns, predicate: row.get(4), nulls_collide: row.get(5) };
            of(&mut relations, &row).uniques.push(unique);
        }
        for row in of_relations(client, schemas, REFERENCES).await {
            let (name, is_foreign_key) = (row.get(1), row.get(2));
            let reference = Reference { name, is_foreign_key, columns: row.get(3), definition: row.get(4) };
            of(&mut relations, &row).references.push(reference);
        }
        let functions = read(client, schemas, FUNCTIONS).await.iter().map(|row| (row.get(0), row.get(1))).collect();
        Self { relations, functions }
    }
}

fn of<'r>(relations: &'r mut BTreeMap<String, Relation>, row: &Row) -> &'r mut Relation {
    relations.get_mut(row.get::<_, &str>(0)).expect("its relation")
}

async fn of_relations(client: &Client, schemas: &[&str], query: &str) -> Vec<Row> {
    read(client, schemas, &format!("WITH relation AS ({RELATIONS}) {query}")).await
}

async fn read(client: &Client, schemas: &[&str], query: &str) -> Vec<Row> {
    client.query(query, &[&schemas]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
}
