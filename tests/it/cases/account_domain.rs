//! Mail domains of accounts.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, TestDatabase, dns, unique};

/// A name that no other test uses.
pub(crate) fn new_domain() -> String {
    format!("{}.example", unique().to_ascii_lowercase())
}

/// Adds a domain to the account of a customer; returns it.
pub(crate) async fn add_domain(who: &Actor, domain: &str, role: &str) -> Value {
    let request = json!({ "domain": domain, "role": role });
    let added = who.rest("AccountDomainService.CreateAccountDomain", request).await.success();
    added.data().clone()
}

/// Sets the record that proves a domain.
pub(crate) fn publish(domain: &Value) {
    let text = |name: &str| domain[name].as_str().expect("a text").to_owned();
    dns::set_texts(&text("recordName"), ["v=spf1 -all".to_owned(), text("recordValue")]);
}

/// Adds a domain to the account of a customer, and verifies it; returns it.
pub(crate) async fn verify_domain(who: &Actor, domain: &str) -> Value {
    let added = add_domain(who, domain, "MEMBER_ROLE_MEMBER").await;
    publish(&added);
    let request = json!({ "accountDomainId": added["id"] });
    let verify = "AccountDomainService.VerifyAccountDomain";
    who.rest(verify, request).await.success().data().clone()
}

/// Gives a user a confirmed address. The user has signed in before, because the test signs in with the earlier address.
pub(crate) async fn set_address(database: &TestDatabase, who: &Actor, email: &str) {
    who.token().await.expect("a sign-in");
    let id = who.as_user().id;
    let update = format!("UPDATE users SET email = '{email}', email_confirmed_at = now() WHERE id = '{id}'");
    database.sql(&update).await;
}

async fn added(scene: &Scene) -> Value {
    json!({ "accountDomainId": add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await["id"] })
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AccountDomainService.CreateAccountDomain" {
            "a new domain" => Status(201), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(), "domain": new_domain(), "role": "MEMBER_ROLE_VIEWER",
            }));
            "a domain that the account has" => Reason("ALREADY_EXISTS"), |scene| {
                let domain = new_domain();
                add_domain(&scene.cast.customer, &domain, "MEMBER_ROLE_MEMBER").await;
                call(&scene.cast.customer, json!({ "domain": domain, "role": "MEMBER_ROLE_MEMBER" }))
            };
            "a public suffix" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "domain": "co.uk", "role": "MEMBER_ROLE_MEMBER" }))
            };
            "a public mail provider" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "domain": "gmail.com", "role": "MEMBER_ROLE_MEMBER" }))
            };
            "with the role of an admin" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "domain": new_domain(), "role": "MEMBER_ROLE_ADMIN" }))
            };
            "beyond the limit" => Reason("DOMAIN_LIMIT_REACHED"), |scene| {
                scene.database.sql(&format!(
                    "INSERT INTO account_domains (id, account_id, domain, role, token, state, created_at, updated_at)
                     SELECT gen_random_uuid(), '{}', n || '.example', 3, repeat('0', 32), 1, now(), now()
                     FROM generate_series(1, 20) AS n", scene.account()
                )).await;
                call(&scene.cast.customer, json!({ "domain": new_domain(), "role": "MEMBER_ROLE_MEMBER" }))
            };
            "without an account" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "domain": new_domain(), "role": "MEMBER_ROLE_MEMBER" }))
            };
        }
        "AccountDomainService.ListAccountDomains" {
            "of the account" => Status(200), |scene| {
                added(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
        }
        "AccountDomainService.GetAccountDomain" {
            "one of the account" => Status(200), |scene| call(&scene.cast.customer, added(&scene).await);
            "one of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, added(&scene).await)
            };
        }
        "AccountDomainService.VerifyAccountDomain" {
            "with its record" => Status(200), |scene| {
                let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
                publish(&domain);
                call(&scene.cast.customer, json!({ "accountDomainId": domain["id"] }))
            };
            "without its record" => Reason("DOMAIN_NOT_PROVED"), |scene| {
                call(&scene.cast.customer, added(&scene).await)
            };
            "without an answer" => Reason("UNAVAILABLE"), |scene| {
                let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
                dns::fail(domain["recordName"].as_str().expect("a name"));
                call(&scene.cast.customer, json!({ "accountDomainId": domain["id"] }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
                publish(&domain);
                call(&scene.cast.customer, json!({ "accountDomainId": domain["id"] })).header("if-match", "\"9\"")
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, json!({ "accountDomainId": unknown_id() }))
            };
        }
        "AccountDomainService.DeleteAccountDomain" {
            "one of the account" => Status(204), |scene| call(&scene.cast.customer, added(&scene).await);
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, added(&scene).await).header("if-match", "\"9\"")
            };
        }
        "AccountDomainService.JoinAccount" {
            "by the domain of the address" => Status(201), |scene| {
                let domain = new_domain();
                verify_domain(&scene.cast.customer, &domain).await;
                // An agent is a person like any other here.
                set_address(&scene.database, &scene.cast.agent, &format!("{}@{domain}", unique())).await;
                call(&scene.cast.agent, json!({}))
            };
            "a member" => Reason("ALREADY_EXISTS"), |scene| {
                let domain = new_domain();
                verify_domain(&scene.cast.customer, &domain).await;
                set_address(&scene.database, &scene.cast.colleague, &format!("{}@{domain}", unique())).await;
                call(&scene.cast.colleague, json!({}))
            };
            "without a verified domain" => Reason("NO_ACCOUNT_TO_JOIN"), |scene| call(&scene.cast.stranger, json!({}));
        }
    }
}
