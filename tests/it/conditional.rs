//! Conditional changes, derived from the policies: every method that honors `If-Match` rejects a version that the
//! resource does not have, and changes nothing. The methods are not listed here, so a new one is covered automatically.

use std::collections::BTreeMap;

use mainstay_kernel::contract::Method;

use crate::{
    cases::{self, Expected, Scene},
    support::{Protocol, TestApp, TestDatabase, methods},
};

/// A version that no resource of a case reaches.
const STALE: &str = "\"999\"";

/// Returns a hash of each table. Two tables may change although nothing was done: the log, and the objects in the
/// storage, which are written before the decision and released after it.
async fn contents(database: &TestDatabase) -> BTreeMap<String, String> {
    let hashes = "SELECT string_agg(format(
            'SELECT %L, md5(coalesce(string_agg(entry::text, chr(10) ORDER BY entry::text), '''')) FROM %I.%I AS entry',
            tablename, schemaname, tablename), ' UNION ALL ')
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'stored_objects' AND tablename NOT LIKE 'system_log%'";
    let statement = database.sql(hashes).await[0][0].clone().expect("a statement");
    let rows = database.sql(&statement).await;
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    rows.iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

/// Returns the faults of a method.
async fn faults(app: &TestApp, method: &Method, protocol: Protocol) -> Vec<String> {
    let scene = Scene::new(app).await;
    let mut call = (cases::good_case(&method.name).call)(scene).await;
    call.headers.retain(|(name, _)| *name != "if-match");
    // A caller's session begins with its first call.
    call.who.token().await;
    let before = contents(&app.database).await;
    let mut faults = Vec::new();

    call.headers.push(("if-match", STALE.to_owned()));
    let response = call.send(protocol, &method.name).await;
    if (response.status, response.reason.as_str()) != (412, "ETAG_MISMATCH") {
        faults.push(format!("takes {STALE} for the version: {} {}", response.status, response.body));
    }
    let after = contents(&app.database).await;
    let differences: Vec<_> = after.iter().filter(|(table, hash)| before.get(*table) != Some(*hash)).collect();
    if !differences.is_empty() {
        faults.push(format!("refuses and changes {differences:?}"));
    }

    // The version was the only fault.
    call.headers.pop();
    let unconditional = call.send(protocol, &method.name).await;
    if !unconditional.reason.is_empty() {
        faults.push(format!("refuses a change without a condition: {unconditional:?}"));
    }
    faults.into_iter().map(|fault| format!("{} over {protocol:?} {fault}", method.name)).collect()
}

fn conditional() -> Vec<&'static Method> {
    let conditional: Vec<_> = methods().into_iter().filter(|method| method.conditional).collect();
    assert!(conditional.len() > 15, "the policies say so of few: {}", conditional.len());
    conditional
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let mut findings = Vec::new();
    // Sequentially, because a concurrent change would be attributed to the rejected one.
    for method in conditional() {
        for protocol in [Protocol::Grpc, Protocol::Rest] {
            findings.extend(faults(&app, method, protocol).await);
        }
    }
    assert!(findings.is_empty(), "{}:\n{}", findings.len(), findings.join("\n"));
}

/// The table of cases runs through Envoy, too.
#[test]
fn every_conditional_method_has_a_case_with_an_old_version() {
    let cases = cases::all();
    let is_refused = |method: &&Method| {
        cases.iter().any(|case| case.method == method.name && case.expected == Expected::Reason("ETAG_MISMATCH"))
    };
    let missing: Vec<_> =
        conditional().into_iter().filter(|method| !is_refused(method)).map(|method| &method.name).collect();
    assert!(missing.is_empty(), "no case has an old version: {missing:?}");
}
