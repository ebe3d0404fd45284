//! Accounts: found by name, and renamed.

use serde_json::json;

use crate::support::{PROTOCOLS, TestApp, unique};

#[tokio::test]
async fn accounts_are_found_by_name_and_membership() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    for protocol in PROTOCOLS {
        let name = format!("Äpfel 100% {}", unique());
        let request = json!({ "accountId": account, "account": { "name": name } });
        let renamed = cast.customer.call(protocol, "AccountService.UpdateAccount", request.clone()).await.success();
        assert_eq!(renamed.text("/data/name"), name);
        let again = cast.customer.call(protocol, "AccountService.UpdateAccount", request).await.success();
        assert_eq!(again.text("/data/version"), renamed.text("/data/version"), "nothing changed");
        let me = cast.customer.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.body["memberships"][0]["accountName"], name.as_str());

        let found = async |prefix: &str| {
            let request = json!({ "namePrefix": prefix });
            let list = cast.agent.call(protocol, "AccountService.ListAccounts", request).await.success();
            list.data().as_array().expect("a list").iter().map(|account| account["id"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&name.replace("pfel", "PFEL")).await, [json!(account)]);
        for other in ["Äpfel 1_0", "Äpfel %", "pfel 100%"] {
            assert!(found(other).await.is_empty(), "{other}");
        }
        let own = cast.stranger.call(protocol, "AccountService.ListAccounts", json!({})).await.success();
        let ids: Vec<_> = own.data().as_array().expect("a list").iter().map(|account| account["id"].clone()).collect();
        assert_eq!(ids, [json!(cast.stranger.as_user().account.to_string())]);
    }
}

/// The limit holds for concurrent requests on one user.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_owns_a_bounded_number_of_accounts() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let create = |number: usize| {
        let name = format!("Company {number}");
        cast.customer.call(PROTOCOLS[number % 2], "AccountService.CreateAccount", json!({ "name": name }))
    };
    let answers = futures_util::future::join_all((0..25).map(create)).await;
    let created = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    assert_eq!(created, 19, "one account is the user's already");
    let limits = ["ACCOUNT_LIMIT_REACHED", "RATE_LIMIT_EXCEEDED"];
    let refused: Vec<_> = answers.iter().filter(|answer| !answer.reason.is_empty()).collect();
    assert!(refused.iter().all(|answer| limits.contains(&answer.reason.as_str())), "{refused:#?}");
    assert_eq!(refused.iter().filter(|answer| answer.reason == limits[0]).count(), 1, "20 calls a day are counted");
    create(25).await.failure("RATE_LIMIT_EXCEEDED");
    let me = cast.customer.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.body["memberships"].as_array().map(Vec::len), Some(20));
    assert_eq!(me.text("/accountId"), cast.customer.as_user().account.to_string(), "the session keeps its account");
}

/// An account that the user has created and given to another owner still counts.
#[tokio::test]
async fn a_transfer_makes_no_room_for_another_account() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (user, other) = (cast.stranger.as_user().id, cast.customer.as_user().id);
    let found = |count: usize| {
        format!(
            "WITH founded AS (INSERT INTO accounts (id, name, created_at)
                 SELECT gen_random_uuid(), 'Founded', now() FROM generate_series(1, {count}) RETURNING id)
             INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
             SELECT gen_random_uuid(), founded.id, person.id, person.role, person.at, person.at
             FROM founded, (VALUES ('{user}'::uuid, 2, now() - interval '1 day'), ('{other}'::uuid, 1, now()))
                 AS person (id, role, at)"
        )
    };
    app.database.sql(&found(18)).await;
    let create = async || cast.stranger.rest("AccountService.CreateAccount", json!({ "name": "One more" })).await;
    create().await.success();
    create().await.failure("ACCOUNT_LIMIT_REACHED");
    // A membership in the account of another founder does not.
    let joined = format!(
        "UPDATE members SET created_at = now() + interval '1 day' WHERE user_id = '{user}' AND account_id =
             (SELECT account_id FROM members WHERE user_id = '{user}' AND role = 2 LIMIT 1)"
    );
    app.database.sql(&joined).await;
    create().await.success();
}
