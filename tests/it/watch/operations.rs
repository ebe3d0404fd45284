//! The progress of operations.

use serde_json::json;

use super::Reader;
use crate::support::{PROTOCOLS, TestApp};

const OPERATIONS: &str = "OperationService.WatchOperations";

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_that_began_an_operation_sees_its_end() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let other = app.cast().await.agent;
    let mut theirs = Vec::new();
    for protocol in PROTOCOLS {
        let mut own = Reader::open(&cast.agent, protocol, OPERATIONS, "").await;
        let mut admin = Reader::open(&cast.admin, protocol, OPERATIONS, "").await;
        let mut foreign = Reader::open(&other, protocol, OPERATIONS, "").await;
        let import = |account: uuid::Uuid| {
            let file = crate::cases::file("subject,body\nOne,Text\nTwo,Text\n");
            json!({ "accountId": account.to_string(), "file": file })
        };
        let account = cast.customer.as_user().account;
        let id = cast.agent.rest("TicketService.ImportTickets", import(account)).await.success().id();
        for (reader, sees_all) in [(&mut own, false), (&mut admin, true)] {
            let mut versions = Vec::new();
            loop {
                let message = reader.item().await;
                let data = &message["data"];
                if sees_all && data["id"] != id.as_str() {
                    continue;
                }
                assert_eq!(data["id"], id.as_str(), "{protocol:?}");
                versions
                    .push(data["version"].as_str().and_then(|version| version.parse::<i64>().ok()).expect("a number"));
                if data["state"] == "OPERATION_STATE_SUCCEEDED" {
                    assert_eq!(data["progress"]["rowsDone"], "2", "{message:#}");
                    break;
                }
            }
            assert!(versions.is_sorted_by(|a, b| a < b), "{protocol:?}: {versions:?}");
        }
        let foreign_account = cast.stranger.as_user().account;
        let latest = other.rest("TicketService.ImportTickets", import(foreign_account)).await.success().id();
        theirs.push(latest.clone());
        // An operation begun over the previous protocol may still end.
        let mut id = String::new();
        while id != latest {
            id = foreign.item().await["data"]["id"].as_str().expect("an id").to_owned();
            assert!(theirs.contains(&id), "{protocol:?}: {id}");
        }
    }
}
