//! Roles.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, unique};

/// A request that creates a role, with a name that no other one has.
pub(crate) fn role_draft(scopes: &[&str]) -> Value {
    json!({ "name": format!("Role {}", unique()), "description": "Of a test", "scopes": scopes })
}

/// Creates a role with these scopes: of the account of a customer, or of the staff.
pub(crate) async fn role(who: &Actor, scopes: &[&str]) -> String {
    who.rest("RoleService.CreateRole", role_draft(scopes)).await.success().id()
}

async fn of_account(scene: &Scene) -> String {
    role(&scene.cast.customer, &["support.tickets.read"]).await
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = changes();
    cases.extend(reads());
    cases
}

fn changes() -> Vec<Case> {
    cases! {
        "RoleService.CreateRole" {
            "an owner, for the account" => Status(201), |scene| {
                let mut draft = role_draft(&["support.tickets.read", "support.tickets.export"]);
                draft["accountId"] = scene.account().into();
                call(&scene.cast.customer, draft)
            };
            "an admin, for the staff" => Status(201), |scene| call(&scene.cast.admin, role_draft(&["payments.refunds.create"]));
            "a scope of the staff" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, role_draft(&["payments.refunds.create"]))
            };
            "a scope that is not declared" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, role_draft(&["support.everything"]))
            };
            "no scope" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, role_draft(&[]));
            "the name of a built-in role" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "name": "Viewer", "scopes": ["support.tickets.read"] }))
            };
            "a name that is taken" => Reason("ALREADY_EXISTS"), |scene| {
                let mut draft = role_draft(&["support.tickets.read"]);
                scene.cast.customer.rest("RoleService.CreateRole", draft.clone()).await.success();
                draft["name"] = draft["name"].as_str().unwrap_or_default().to_uppercase().into();
                call(&scene.cast.customer, draft)
            };
            "another account" => Reason("NOT_FOUND"), |scene| {
                let mut draft = role_draft(&["support.tickets.read"]);
                draft["accountId"] = scene.account().into();
                call(&scene.cast.stranger, draft)
            };
            "an unknown account" => Reason("NOT_FOUND"), |scene| {
                let mut draft = role_draft(&["support.tickets.read"]);
                draft["accountId"] = unknown_id().into();
                call(&scene.cast.admin, draft)
            };
            "more than there may be" => Reason("ROLE_LIMIT_REACHED"), |scene| {
                let fill = format!(
                    "INSERT INTO roles (id, account_id, name, description, scopes, created_at, updated_at)
                     SELECT gen_random_uuid(), '{}', 'Role ' || n, '', '{{orders.read}}', now(), now()
                     FROM generate_series(1, 50) AS n",
                    scene.account()
                );
                scene.database.sql(&fill).await;
                call(&scene.cast.customer, role_draft(&["support.tickets.read"]))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, role_draft(&["support.tickets.read"]));
        }
        "RoleService.UpdateRole" {
            "its scopes" => Status(200), |scene| call(&scene.cast.customer, json!({
                "roleId": of_account(&scene).await, "role": { "scopes": ["orders.read", "support.tickets.read"] },
            }));
            "its name and its description" => Status(200), |scene| call(&scene.cast.customer, json!({
                "roleId": of_account(&scene).await, "role": { "name": unique() }, "updateMask": "name,description",
            }));
            "no scope" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "roleId": of_account(&scene).await, "role": {}, "updateMask": "scopes",
            }));
            "a scope of the staff" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "roleId": of_account(&scene).await, "role": { "scopes": ["identity.users.manage"] },
            }));
            "a name that is taken" => Reason("ALREADY_EXISTS"), |scene| {
                let draft = role_draft(&["support.tickets.read"]);
                scene.cast.customer.rest("RoleService.CreateRole", draft.clone()).await.success();
                call(&scene.cast.customer, json!({ "roleId": of_account(&scene).await, "role": { "name": draft["name"] } }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.customer, json!({
                "roleId": of_account(&scene).await, "role": { "name": unique() },
            })).header("if-match", "\"7\"");
            "that of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({
                "roleId": of_account(&scene).await, "role": { "name": unique() },
            }));
            "that of the staff" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({
                "roleId": role(&scene.cast.admin, &["support.tickets.read"]).await, "role": { "name": unique() },
            }));
        }
        "RoleService.DeleteRole" {
            "one" => Status(204), |scene| call(&scene.cast.customer, json!({ "roleId": of_account(&scene).await }));
            "one that is in use" => Reason("ROLE_IN_USE"), |scene| {
                let role = role(&scene.cast.admin, &["support.tickets.read"]).await;
                let agent = scene.cast.agent.as_user().id.to_string();
                let request = json!({ "userId": agent, "role": "ROLE_AGENT", "staffRoleId": role });
                scene.cast.admin.rest("UserService.SetUserRole", request).await.success();
                call(&scene.cast.admin, json!({ "roleId": role }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "roleId": of_account(&scene).await })).header("if-match", "\"7\"")
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "roleId": unknown_id() }));
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "RoleService.GetRole" {
            "one" => Status(200), |scene| call(&scene.cast.customer, json!({ "roleId": of_account(&scene).await }));
            "that of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "roleId": of_account(&scene).await }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "roleId": unknown_id() }));
        }
        "RoleService.ListRoles" {
            "of the account" => Status(200), |scene| {
                of_account(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            // The staff's roles of other cases change.
            "of the account, by an agent" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "accountId": scene.account(), "readMask": "name,scopes" }))
            };
            "of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "accountId": scene.account() }))
            };
        }
        "RoleService.GetMyAccess" {
            "a customer" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "a service is not a user" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
    }
}
