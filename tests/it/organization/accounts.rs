//! Accounts: found by name, and renamed.

use serde_json::json;

use crate::support::{PROTOCOLS, Protocol, TestApp, unique};

#[tokio::test]
async fn accounts_are_found_by_name_and_membership() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
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
    let app = TestApp::start().await;
    let cast = app.cast().await;
    let create = |number: usize| {
        let name = format!("Company {number}");
        cast.customer.call(PROTOCOLS[number % 2], "AccountService.CreateAccount", json!({ "name": name }))
    };
    let answers = futures_util::future::join_all((0..25).map(create)).await;
    let created = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    assert_eq!(created, 19, "one account is the user's already");
    create(25).await.failure("ACCOUNT_LIMIT_REACHED");
    let me = cast.customer.call(Protocol::Rest, "UserService.GetMe", json!({})).await.success();
    assert_eq!(me.body["memberships"].as_array().map(Vec::len), Some(20));
    assert_eq!(me.text("/accountId"), cast.customer.as_user().account.to_string(), "the session keeps its account");
}
