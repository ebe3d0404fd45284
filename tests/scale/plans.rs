//! Reads the plans that Postgres logged.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use serde_json::Value;

use crate::server::{Server, WITNESS};

/// Small tables that are read in full.
const READ_WHOLE: [&str; 2] = ["audit_chain", "ledger_unsummed"];

/// The rows that an index scan may discard for each that it returns.
const MAX_DISCARDED: f64 = 50.0;
/// The blocks that an index scan may read for each row that it passes, and for each of its loops.
const MAX_BLOCKS: f64 = 10.0;
/// The rows or blocks that any scan may pass.
const MIN_BOUND: f64 = 500.0;

/// Scans a table deliberately.
pub(crate) async fn scan_one(server: &Server) -> anyhow::Result<()> {
    let sql = format!("SELECT count(*) FROM tickets WHERE body = '{WITNESS}' AND $1 = $1");
    let task = server.database.autocommit(async move |connection| {
        diesel::sql_query(sql).bind::<BigInt, _>(1).execute(connection).await?;
        Ok(())
    });
    task.await.map_err(crate::server::plain)
}

/// Fails with every statement that scanned a table, or that passed many rows or blocks of an index for each row that it
/// returned.
pub(crate) fn check(plans: &[Value], at_least: usize) {
    let mut scanning = BTreeMap::new();
    let mut indexes = BTreeMap::<&str, usize>::new();
    let mut witnessed = false;
    for plan in plans {
        let text = plan["Query Text"].as_str().unwrap_or_default();
        assert!(plan["JIT"].is_null(), "Postgres compiled {text}");
        let mut scanned = BTreeSet::new();
        if plan["Plan"]["Node Type"] == "Seq Scan" {
            scanned.insert(described(&plan["Plan"]));
        }
        walk(&plan["Plan"], false, &mut scanned, &mut indexes);
        if scanned.is_empty() {
            continue;
        }
        if text.contains(WITNESS) {
            witnessed = true;
        } else {
            scanning.entry(text).or_insert(scanned);
        }
    }
    println!("{} plans; indexes by how many of them use each:", plans.len());
    for (index, count) in &indexes {
        println!("  {count:>6} {index}");
    }
    assert!(witnessed, "the log shows no scan, not even the deliberate one");
    assert!(plans.len() > at_least, "{at_least} lists were run, {} plans logged", plans.len());
    let report: Vec<_> = scanning.iter().map(|(text, tables)| format!("{tables:?} by\n    {text}")).collect();
    assert!(report.is_empty(), "{} statements scan a table:\n  {}", report.len(), report.join("\n  "));
}

fn walk<'p>(node: &'p Value, has_limit: bool, scanned: &mut BTreeSet<String>, indexes: &mut BTreeMap<&'p str, usize>) {
    if let Some(index) = node["Index Name"].as_str() {
        *indexes.entry(index).or_default() += 1;
    }
    // The partitions of a table are read one after the other, until there are as many rows as the limit.
    let has_limit = node["Node Type"] == "Limit" || has_limit && node["Node Type"] == "Append";
    for inner in node["Plans"].as_array().into_iter().flatten() {
        // Without a filter the scan stops as soon as it has as many rows as the limit.
        let bounded = has_limit && inner["Filter"].is_null();
        if is_wasteful(inner) && !is_last_of_priority(inner) {
            scanned.insert(format!(
                "{} by {} passes too much: {} rows in {} loops, {} discarded, {} blocks",
                inner["Relation Name"].as_str().unwrap_or("?"),
                inner["Index Name"].as_str().unwrap_or("?"),
                inner["Actual Rows"],
                inner["Actual Loops"],
                inner["Rows Removed by Filter"],
                inner["Shared Hit Blocks"]
            ));
        }
        let whole = READ_WHOLE.contains(&inner["Relation Name"].as_str().unwrap_or("?"));
        // A partition without a page: that of a month to come, or the DEFAULT one.
        let empty = is_partition(inner["Relation Name"].as_str().unwrap_or("?"))
            && inner["Total Cost"].as_f64().is_some_and(|cost| cost < 0.1);
        if inner["Node Type"] == "Seq Scan" && !bounded && !whole && !empty {
            scanned.insert(described(inner));
        }
        walk(inner, has_limit, scanned, indexes);
    }
}

/// Returns whether an index scan discarded many rows, or read many blocks, for what it returned.
fn is_wasteful(node: &Value) -> bool {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    // All but the blocks are means over the loops.
    let loops = number("Actual Loops");
    let rows = number("Actual Rows") * loops;
    let discarded = (number("Rows Removed by Filter") + number("Rows Removed by Index Recheck")) * loops;
    let blocks = number("Shared Hit Blocks") + number("Shared Read Blocks");
    // An index that begins with an account or an assignee passes no more than the tickets of one of them.
    let index = node["Index Name"].as_str().unwrap_or_default();
    let is_global = !index.contains("_account_") && !index.contains("_assignee_");
    let discards = is_global && discarded > MIN_BOUND + (rows + loops) * MAX_DISCARDED;
    !index.is_empty() && (discards || blocks > MIN_BOUND + (rows + discarded + loops) * MAX_BLOCKS)
}

/// Returns whether a scan is that of the last pages of an account's list in ascending order of priority, with filters. Postgres
/// expects fewer rows beyond the key than there are, and passes the tickets of that priority of all accounts.
fn is_last_of_priority(node: &Value) -> bool {
    node["Index Name"] == "tickets_priority_idx"
        && node["Index Cond"].as_str().is_some_and(|cond| cond.contains("ROW("))
}

fn described(node: &Value) -> String {
    format!("{} at a cost of {}", node["Relation Name"].as_str().unwrap_or("?"), node["Total Cost"])
}

fn is_partition(table: &str) -> bool {
    let (_, end) = table.rsplit_once('_').unwrap_or_default();
    end == "rest" || (end.len() == "202611".len() && end.bytes().all(|byte| byte.is_ascii_digit()))
}
