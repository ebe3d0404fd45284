//! Every case of the table over gRPC, over REST, and over REST through Envoy. The outcome matches the table and is the
//! same through every protocol.

pub(crate) mod differences;
mod envoy;
mod fuzz;
mod leniency;
mod masks;
mod requests;
mod required;
mod rolling;
mod streams;

use futures_util::{StreamExt as _, stream};

use crate::{
    cases::{self, Case, Expected, Scene},
    support::{PROTOCOLS, Protocol, Raw, Response, TestApp},
};

/// More concurrent cases than cores, because a case mostly waits.
const CONCURRENCY: usize = 4;

async fn run(app: &TestApp, case: &Case, protocol: Protocol) -> Result<Response, String> {
    // New users for each protocol, so that the second protocol does not meet the data of the first.
    let call = (case.call)(Scene::new(app).await).await;
    let answer = call.send(protocol, case.method).await;
    let missing = match (protocol, case.expected) {
        (Protocol::Rest, Expected::Status(_)) => required::missing(case.method, &call.request, &answer),
        _ => Vec::new(),
    };
    if !missing.is_empty() {
        return Err(format!("{} ({}): the response lacks {}", case.method, case.name, missing.join(", ")));
    }
    if let Some(header) = missing_header(&answer) {
        return Err(format!("{} ({}) over {protocol:?}: a {} has no {header}", case.method, case.name, answer.status));
    }
    let outcome =
        if answer.reason.is_empty() { Expected::Status(answer.status) } else { Expected::Reason(leak(&answer.reason)) };
    if outcome == case.expected {
        Ok(answer)
    } else {
        Err(format!(
            "{} ({}) over {protocol:?}: {outcome:?} and not {:?}\n{answer:#?}",
            case.method, case.name, case.expected
        ))
    }
}

/// Returns the header that belongs to the status of a response, if it is missing.
fn missing_header(answer: &Response) -> Option<&'static str> {
    let header = match answer.status {
        301 => "location",
        401 => "www-authenticate",
        429 | 503 => "retry-after",
        _ => return None,
    };
    answer.header(header).is_none().then_some(header)
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

async fn run_through_each_protocol(app: &TestApp, case: &Case) -> Result<(), String> {
    let (mut answers, mut faults) = (Vec::new(), Vec::new());
    for protocol in PROTOCOLS {
        match run(app, case, protocol).await {
            Ok(answer) => answers.push(answer),
            Err(fault) => faults.push(fault),
        }
    }
    if let [grpc, rest, envoy] = answers.as_slice() {
        let name = format!("{} ({})", case.method, case.name);
        let (mut grpc, direct) = (grpc.comparable(), rest.comparable());
        if !rest.reason.is_empty() && rest.header("content-type") == Some("application/scim+json") {
            // The format of the error is that of SCIM.
            grpc["body"] = direct["body"].clone();
        }
        if grpc != direct {
            faults.push(format!("{name}: gRPC says\n{grpc:#}\nand REST\n{direct:#}"));
        }
        faults.extend(differences::between(&Raw::default(), rest, envoy).map(|fault| format!("{name}: {fault}")));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n\n")) }
}

async fn run_all(cases: Vec<Case>) {
    run_concurrently(cases, CONCURRENCY).await;
}

async fn run_concurrently(cases: Vec<Case>, at_once: usize) {
    let app = &TestApp::start().await;
    let outcomes = stream::iter(&cases).map(|case| run_through_each_protocol(app, case)).buffer_unordered(at_once);
    let faults: Vec<_> = outcomes.filter_map(|outcome| async { outcome.err() }).collect().await;
    assert!(faults.is_empty(), "{} of {}:\n\n{}", faults.len(), cases.len(), faults.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets() {
    run_all(cases::ticket::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_and_links_of_tickets() {
    run_all(cases::ticket_link::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canned_answers() {
    run_all(cases::canned_answer::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_tickets() {
    run_all(cases::ticket_list::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments() {
    run_all(cases::comment::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files() {
    run_all(cases::file::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations() {
    run_all(cases::operation::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts() {
    run_all(cases::post::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn products_and_orders() {
    // All callers share one list of products: a product created by a concurrent case would appear on its first page.
    run_concurrently(cases::order::cases(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_and_refunds() {
    run_all(cases::payment::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions() {
    run_all(cases::subscription::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users() {
    run_all(cases::user::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    run_all(cases::account::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members() {
    run_all(cases::member::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations() {
    run_all(cases::invitation::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications() {
    run_all(cases::oauth::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_domains() {
    run_all(cases::account_domain::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_of_accounts() {
    run_all(cases::account_provider::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions() {
    run_all(cases::deletion::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_of_data() {
    run_all(cases::data_export::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_factors() {
    run_all(cases::second_factor::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys() {
    run_all(cases::passkey::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_entries() {
    run_all(cases::audit::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles() {
    run_all(cases::role::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning() {
    run_all(cases::scim::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_keys() {
    // All admins share one list of service keys: a key created by a concurrent case would appear on its first page.
    run_concurrently(cases::service_key::cases(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonations() {
    // All admins share one list, as with service keys.
    run_concurrently(cases::impersonation::cases(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks() {
    run_all(cases::webhook::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_endpoints() {
    // All admins share one list of endpoints, as with service keys.
    run_concurrently(cases::webhook_endpoint::cases(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards() {
    // All admins see the same overview, which would include a payment of a concurrent case.
    run_concurrently(cases::dashboard::cases(), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    run_all(cases::session::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_in_and_out() {
    run_all(cases::auth::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn linked_identities() {
    run_all(cases::linked_identity::cases()).await;
}

/// Every file of cases must be run.
#[test]
fn every_file_of_cases_is_run() {
    let (table, tests) = (include_str!("cases.rs"), include_str!("protocols.rs"));
    let files = table.lines().filter_map(|line| line.strip_prefix("pub(crate) mod ")?.strip_suffix(';'));
    let idle: Vec<_> = files.filter(|file| !tests.contains(&format!("(cases::{file}::cases()"))).collect();
    assert!(idle.is_empty(), "no test here runs the cases of {idle:?}");
}
