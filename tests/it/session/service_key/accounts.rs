//! Keys of accounts: they reach the data of the account alone, with scopes that their creator has.

use chrono::{DateTime, TimeDelta};
use serde_json::json;

use super::{CREATE, LIST, PERSON, ROTATE, again, draft, key_of};
use crate::{
    cases::{Scene, member_of, role::role, ticket},
    support::{Actor, PROTOCOLS, Protocol, TestApp},
    watch::{Reader, TICKETS},
};

const GET: &str = "TicketService.GetTicket";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_account_reaches_only_its_data_and_is_no_staff() {
    let (_app, scene) = Scene::start().await;
    let cast = &scene.cast;
    let (_, key) = key_of(&cast.customer, draft(&["support.tickets.read", "support.tickets.write"])).await;
    let (with_note, note) = scene.note().await;
    let foreign = ticket(&cast.stranger).await;
    for protocol in PROTOCOLS {
        let own = key.call(protocol, "TicketService.CreateTicket", crate::cases::draft()).await.success();
        assert_eq!(own.text("/data/accountId"), scene.account());
        cast.colleague.call(protocol, GET, json!({ "ticketId": own.id() })).await.success();
        key.call(protocol, GET, json!({ "ticketId": foreign })).await.failure("NOT_FOUND");
        let list = key.call(protocol, "TicketService.ListTickets", json!({})).await.success();
        assert!(list.data().as_array().expect("a list").iter().all(|ticket| ticket["accountId"] == scene.account()));
        // What staff writes for staff is not shown.
        let comments = json!({ "ticketId": with_note });
        let comments = key.call(protocol, "CommentService.ListComments", comments).await.success();
        assert!(!comments.body.to_string().contains(&note), "{comments:#?}");
        let internal = json!({ "ticketId": with_note, "body": "For staff", "internal": true });
        key.call(protocol, "CommentService.CreateComment", internal).await.failure("PERMISSION_DENIED");
        // A method for staff, one for persons, and one without the scope.
        for refused in ["UserService.ListUsers", "UserService.GetMe", "OrderService.ListOrders"] {
            key.call(protocol, refused, json!({})).await.failure("PERMISSION_DENIED");
        }
    }
    let entries = json!({ "method": "TicketService.CreateTicket" });
    let entries = cast.customer.rest("AuditService.ListAuditEntries", entries).await.success();
    assert_eq!(entries.text("/data/0/actorKind"), "ACTOR_KIND_SERVICE");
    assert_eq!(entries.text("/data/0/accountId"), scene.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creator_gives_a_key_only_what_the_creator_has() {
    let (_app, scene) = Scene::start().await;
    let (cast, database) = (&scene.cast, &scene.database);
    let (strong, _) = key_of(&cast.customer, draft(&["support.tickets.read", "support.tickets.export"])).await;
    let (weak, _) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let lead = role(&cast.customer, &["identity.service_keys.manage", "support.tickets.read"]).await;
    let member = json!({ "role": "MEMBER_ROLE_CUSTOM", "customRoleId": lead });
    let change = json!({ "memberId": member_of(database, &cast.colleague).await, "member": member });
    cast.customer.rest("MemberService.UpdateMember", change).await.success();
    let lead = again(&cast.colleague);
    for protocol in PROTOCOLS {
        lead.call(protocol, CREATE, draft(&["support.tickets.read"])).await.success();
        lead.call(protocol, CREATE, draft(&["support.tickets.export"])).await.failure("PERMISSION_DENIED");
        // The new secret would give the lead what the key has.
        lead.call(protocol, ROTATE, json!({ "serviceKeyId": strong })).await.failure("PERMISSION_DENIED");
        lead.call(protocol, ROTATE, json!({ "serviceKeyId": weak })).await.success();
    }
}

#[tokio::test]
async fn a_key_of_an_account_expires_after_90_days_and_one_of_the_platform_never() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let time = |text: String| DateTime::parse_from_rfc3339(&text).expect("a time");
    let key = cast.customer.rest(CREATE, draft(&["support.tickets.read"])).await.success();
    let life = time(key.text("/data/expireTime")) - time(key.text("/data/createTime"));
    assert_eq!(life, TimeDelta::days(90));
    assert_eq!(key.text("/data/kind"), "SERVICE_KEY_KIND_ACCOUNT");
    let key = cast.admin.rest(CREATE, draft(&["support.tickets.read"])).await.success();
    assert!(key.data()["expireTime"].is_null(), "{key:#?}");
    assert_eq!(key.text("/data/kind"), "SERVICE_KEY_KIND_PLATFORM");
}

/// A scanner finds the secret, and excludes other texts by the checksum.
#[tokio::test]
async fn a_secret_has_a_prefix_and_a_checksum() {
    let (app, cast) = TestApp::start_with_cast().await;
    let key = cast.customer.rest(CREATE, draft(&["support.tickets.read"])).await.success();
    let secret = key.text("/secret");
    assert!(secret.starts_with("msk_") && secret.len() == 4 + 32 + 1 + 43 + 6, "{secret}");
    let last = if secret.ends_with('A') { 'B' } else { 'A' };
    let typo = format!("{}{last}", &secret[..secret.len() - 1]);
    Actor::bearer(&app.endpoint, typo).rest(LIST, json!({})).await.failure("INVALID_TOKEN");
}

/// Anyone can create an account, and keys of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_account_share_one_limit_of_open_tickets() {
    const WRITE: &str = "TicketService.CreateTicket";
    let (_app, cast) = TestApp::builder().set("OPEN_TICKET_LIMIT", "2").start_with_cast().await;
    let scopes = ["support.tickets.read", "support.tickets.write"];
    let (_, one) = key_of(&cast.customer, draft(&scopes)).await;
    let (_, other) = key_of(&cast.customer, draft(&scopes)).await;
    let first = one.rest(WRITE, crate::cases::draft()).await.success().id();
    other.call(Protocol::Grpc, WRITE, crate::cases::draft()).await.success();
    for key in [&one, &other] {
        key.rest(WRITE, crate::cases::draft()).await.failure("OPEN_TICKET_LIMIT_REACHED");
    }
    // The members are counted separately.
    cast.customer.rest(WRITE, crate::cases::draft()).await.success();
    cast.agent.rest("TicketService.ResolveTicket", json!({ "ticketId": first })).await.success();
    other.rest(WRITE, crate::cases::draft()).await.success();
    one.rest(WRITE, crate::cases::draft()).await.failure("OPEN_TICKET_LIMIT_REACHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_a_user_have_a_maximum_of_keys() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut personal = draft(&["support.tickets.read"]);
    personal["kind"] = PERSON.into();
    for (request, max) in [(draft(&["support.tickets.read"]), 100), (personal, 20)] {
        let (id, _) = key_of(&cast.customer, request.clone()).await;
        let copies = format!(
            "INSERT INTO service_keys (id, account_id, member_id, user_id, name, secret_hash, scopes, created_by, created_at, expires_at)
             SELECT gen_random_uuid(), account_id, member_id, user_id, name, sha256(gen_random_uuid()::text::bytea), scopes, created_by,
                    created_at, expires_at FROM service_keys, generate_series(2, {max}) WHERE id = '{id}'"
        );
        app.database.sql(&copies).await;
        cast.customer.rest(CREATE, request.clone()).await.failure("BUSINESS_RULE_VIOLATION");
        cast.stranger.rest(CREATE, request.clone()).await.success();
        let revoke = json!({ "serviceKeyId": id });
        cast.customer.rest("ServiceKeyService.RevokeServiceKey", revoke).await.success();
        cast.customer.rest(CREATE, request).await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_account_share_the_watches_of_one_user() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (_, one) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let (_, other) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let mut watches = Vec::new();
    for _ in 0..32 {
        watches.push(Reader::open(&one, Protocol::Grpc, TICKETS, "").await);
    }
    let refused = Reader::try_open(&other, Protocol::Rest, TICKETS, "").await.err();
    assert_eq!(refused.as_deref(), Some("TOO_MANY_WATCHES"));
    Reader::open(&cast.customer, Protocol::Rest, TICKETS, "").await.message().await;
}
