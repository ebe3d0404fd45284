//! Organizations: their members and owners, the account of a session, and invitations.

mod accounts;
mod domains;
mod invitations;
mod members;
mod migration;
mod owners;
mod registration;
mod switching;

use serde_json::{Value, json};

use crate::cases::{Scene, create_invitation, create_token, grant, join, member_of, new_address};

/// Returns the number of members of the customer's account.
async fn count_members(scene: &Scene) -> i64 {
    scene.database.number(&format!("SELECT count(*) FROM members WHERE account_id = '{}'", scene.account())).await
}

fn member(id: &str) -> Value {
    json!({ "memberId": id })
}
