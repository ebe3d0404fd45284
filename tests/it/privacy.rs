//! The end of a person's and an account's life: deletion with a period of grace, erasure, and the export of all data.

mod catalogue;
mod deletion;
mod erasure;
mod export;
mod retention;

use serde_json::{Value, json};

use crate::support::{Actor, TestDatabase, eventually, people::PASSWORD};

const CREATE: &str = "DeletionService.CreateDeletion";
const CANCEL: &str = "DeletionService.CancelDeletion";

fn of_user(who: &Actor) -> Value {
    json!({ "userId": who.as_user().id.to_string(), "currentPassword": PASSWORD })
}

fn of_account(who: &Actor) -> Value {
    json!({ "accountId": who.as_user().account.to_string(), "currentPassword": PASSWORD })
}

/// Requests a deletion; returns its id.
async fn request(who: &Actor, request: Value) -> String {
    who.rest(CREATE, request).await.success().id()
}

/// Ends the periods of grace and all waits of the jobs. A job that runs keeps its lease.
async fn hurry(database: &TestDatabase) {
    database
        .sql(
            "UPDATE deletions SET erase_at = now() WHERE state = 1 AND erase_at > now();
             UPDATE jobs SET due_at = now() WHERE kind = 'erase_data' AND due_at > now() AND lease IS NULL",
        )
        .await;
}

async fn state(database: &TestDatabase, id: &str) -> i64 {
    database.number(&format!("SELECT state FROM deletions WHERE id = '{id}'")).await
}

/// Waits until an erasure is done, without the waits of its job.
async fn wait_until_done(database: &TestDatabase, id: &str) {
    eventually("the data is erased", async || {
        hurry(database).await;
        state(database, id).await == 3
    })
    .await;
}
