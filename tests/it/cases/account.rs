//! Accounts and their ownership.

use serde_json::json;

use super::membership::{grant, member_of};
use super::{
    Case,
    Expected::{Reason, Status},
    call, cases, unknown_id,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AccountService.CreateAccount" {
            "another organization" => Status(201), |scene| call(&scene.cast.customer, json!({ "name": "Zoë & Co" }));
            "without a name" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "name": " " }));
            "beyond the limit" => Reason("ACCOUNT_LIMIT_REACHED"), |scene| {
                let user = scene.cast.customer.as_user().id;
                scene.database.sql(&format!(
                    "INSERT INTO accounts (id, name, created_at) SELECT gen_random_uuid(), 'Owned by {user}', now()
                     FROM generate_series(1, 19);
                     INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
                     SELECT gen_random_uuid(), id, '{user}', 1, now(), now() FROM accounts WHERE name = 'Owned by {user}'"
                )).await;
                call(&scene.cast.customer, json!({ "name": "One more" }))
            };
        }
        "AccountService.ListAccounts" {
            "by a member" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "all, by name" => Status(200), |scene| call(&scene.cast.agent, json!({ "namePrefix": "no name begins so", "pageSize": 1 }));
        }
        "AccountService.GetAccount" {
            "the session's" => Status(200), |scene| call(&scene.cast.customer, json!({ "accountId": scene.account() }));
            "another" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "accountId": scene.account() }));
            "an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "accountId": unknown_id() }));
        }
        "AccountService.UpdateAccount" {
            "another name" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "account": { "name": "Zoë & Co" } }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "account": { "name": "Zoë & Co" } }))
                    .header("if-match", "\"9\"")
            };
            "a second factor, by an admin of the account" => Reason("PERMISSION_DENIED"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                let account = json!({ "requireSecondFactor": true });
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "account": account }))
            };
            "a second factor, by the staff" => Status(200), |scene| {
                let account = json!({ "requireSecondFactor": true });
                call(&scene.cast.admin, json!({ "accountId": scene.account(), "account": account }))
            };
            "without a name" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "accountId": scene.account(), "account": { "name": "" } }))
            };
        }
        "AccountService.TransferOwnership" {
            "to a colleague" => Status(200), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(), "memberId": member_of(&scene.database, &scene.cast.colleague).await,
            }));
            "to a member of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(), "memberId": member_of(&scene.database, &scene.cast.stranger).await,
            }));
            "by an admin of the account" => Reason("PERMISSION_DENIED"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({
                    "accountId": scene.account(), "memberId": member_of(&scene.database, &scene.cast.colleague).await,
                }))
            };
            "to a deactivated member" => Reason("VALIDATION_FAILED"), |scene| {
                let user = scene.cast.colleague.as_user().id;
                scene.database.sql(&format!(
                    "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE id = '{user}'"
                )).await;
                call(&scene.cast.customer, json!({
                    "accountId": scene.account(), "memberId": member_of(&scene.database, &scene.cast.colleague).await,
                }))
            };
        }
    }
}
