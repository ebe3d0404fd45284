//! The last owner of an account remains, also under concurrency.

use serde_json::{Value, json};

use super::{grant, join, member, member_of};
use crate::{
    session::revocation::two_instances,
    support::{Actor, Protocol, database::connect, eventually},
};

#[derive(Debug, Clone, Copy)]
enum Act {
    Leave,
    RemoveOther,
    DemoteOther,
    Transfer,
}

impl Act {
    const ALL: [Self; 4] = [Self::Leave, Self::RemoveOther, Self::DemoteOther, Self::Transfer];

    /// The method, and the request of a caller with these ids of the own membership and of the other owner's.
    fn request(self, account: &str, own: &str, other: &str) -> (&'static str, Value) {
        match self {
            Self::Leave => ("MemberService.LeaveAccount", member(own)),
            Self::RemoveOther => ("MemberService.RemoveMember", member(other)),
            Self::DemoteOther => {
                ("MemberService.UpdateMember", json!({ "memberId": other, "member": { "role": "MEMBER_ROLE_VIEWER" } }))
            }
            Self::Transfer => ("AccountService.TransferOwnership", json!({ "accountId": account, "memberId": other })),
        }
    }
}

/// Two owners act at once on two instances, for each pair of acts. An external lock ensures that both have begun.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_at_once_leave_an_owner() {
    let (here, there) = two_instances().await;
    for one in Act::ALL {
        for two in Act::ALL {
            let cast = here.cast().await;
            let account = cast.customer.as_user().account.to_string();
            let [first, second] =
                [member_of(&here.database, &cast.customer).await, member_of(&here.database, &cast.colleague).await];
            let acts = [
                (cast.customer.clone(), one.request(&account, &first, &second)),
                (cast.colleague.at(&there.endpoint), two.request(&account, &second, &first)),
            ];
            for (who, _) in &acts {
                who.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
            }
            let outside = connect(&here.database.url).await;
            let lock = format!("BEGIN; SELECT id FROM accounts WHERE id = '{account}' FOR UPDATE");
            outside.batch_execute(&lock).await.expect("the lock");
            let calls = acts.map(|(who, (method, request))| {
                tokio::spawn(async move { who.call(Protocol::Grpc, method, request).await })
            });
            here.database.locks_waited_for(2).await;
            outside.batch_execute("COMMIT").await.expect("the lock goes");
            let mut reasons = Vec::new();
            for call in calls {
                reasons.push(call.await.expect("no panic").reason);
            }
            let owners = format!("SELECT count(*) FROM members WHERE account_id = '{account}' AND role = 1");
            assert!(here.database.number(&owners).await >= 1, "{one:?} and {two:?}: {reasons:?}");
            assert!(reasons.iter().any(String::is_empty), "{one:?} and {two:?}: {reasons:?}");
            let known = ["", "LAST_OWNER", "NOT_FOUND", "PERMISSION_DENIED", "SESSION_REVOKED"];
            assert!(reasons.iter().all(|reason| known.contains(&reason.as_str())), "{one:?} and {two:?}: {reasons:?}");
        }
    }
}

/// One owner transfers to two members at once: there is one new owner.
#[tokio::test(flavor = "multi_thread")]
async fn an_ownership_is_transferred_once() {
    let (here, there) = two_instances().await;
    let cast = here.cast().await;
    let account = cast.customer.as_user().account;
    grant(&here.database, &cast.colleague, 3).await;
    let other = join(&here.database, &cast.stranger, &cast.customer, 3).await;
    let ids = [member_of(&here.database, &cast.colleague).await, other];
    let token = cast.customer.token().await.expect("a token");
    let outside = connect(&here.database.url).await;
    let lock = format!("BEGIN; SELECT id FROM accounts WHERE id = '{account}' FOR UPDATE");
    outside.batch_execute(&lock).await.expect("the lock");
    let calls = ids.clone().into_iter().zip([&here, &there]).map(|(id, app)| {
        let (who, account) = (Actor::bearer(&app.endpoint, token.clone()), account.to_string());
        let request = json!({ "accountId": account, "memberId": id });
        tokio::spawn(async move { who.rest("AccountService.TransferOwnership", request).await })
    });
    let calls: Vec<_> = calls.collect();
    here.database.locks_waited_for(2).await;
    outside.batch_execute("COMMIT").await.expect("the lock goes");
    let mut reasons = Vec::new();
    for call in calls {
        reasons.push(call.await.expect("no panic").reason);
    }
    reasons.sort();
    assert_eq!(reasons, ["", "PERMISSION_DENIED"]);
    let query = format!("SELECT user_id FROM members WHERE account_id = '{account}' AND role = 1");
    let owners = here.database.sql(&query).await;
    assert_eq!(owners.len(), 1, "{owners:?}");
    assert_ne!(owners[0][0], Some(cast.customer.as_user().id.to_string()));
    // The former owner is an admin, whose tokens are outdated.
    let id = member_of(&here.database, &cast.customer).await;
    assert_eq!(here.database.number(&format!("SELECT role FROM members WHERE id = '{id}'")).await, 2);
    eventually("the token is outdated", async || {
        cast.customer.rest("UserService.GetMe", json!({})).await.reason == "TOKEN_EXPIRED"
    })
    .await;
}
