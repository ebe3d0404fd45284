//! Provisioning by SCIM: a leaver loses the account everywhere, and a provider reaches the account of its key alone.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    cases::{
        Scene,
        account_domain::{new_domain, set_address, verify_domain},
        create_token, member_of,
        role::role,
        scim::{SCOPE, key},
    },
    session::revocation::{two_instances, wait_until_both_poll},
    support::{Actor, Endpoint, Protocol, Response, TestApp, eventually, rest, unique},
};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// An identity provider.
struct Provider {
    endpoint: Endpoint,
    token: String,
}

impl Provider {
    /// The provider of a customer's account.
    async fn of(customer: &Actor) -> Self {
        let token = key(customer).token().await.expect("a key");
        Self { endpoint: customer.endpoint.clone(), token }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let url = format!("{}/scim/v2/{path}", self.endpoint.base());
        let mut request = self.endpoint.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/scim+json").body(body.to_string());
        }
        rest::read(request.send().await.expect("an answer")).await
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    async fn create(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, operations: Value) -> Response {
        self.send(Method::PATCH, path, Some(json!({ "Operations": operations }))).await
    }

    async fn set_active(&self, id: &str, value: Value) -> Response {
        let operation = json!([{ "op": "Replace", "path": "active", "value": value }]);
        self.patch(&format!("Users/{id}"), operation).await
    }

    /// Provisions a user; returns the id.
    async fn provision(&self, email: &str) -> String {
        self.create("Users", json!({ "userName": email, "displayName": "Ada" })).await.success().text("/id")
    }

    /// Creates a group with a member; returns its path.
    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = self.create("Groups", json!({ "displayName": name, "members": members })).await.success();
        format!("Groups/{}", group.text("/id"))
    }
}

async fn domain_of(customer: &Actor) -> String {
    let domain = new_domain();
    verify_domain(customer, &domain).await;
    domain
}

/// Returns the number of the role of a user in the customer's account; 0 for a custom one, and -1 without a membership.
async fn role_of(scene: &Scene, user: &str) -> i64 {
    let of = format!("account_id = '{}' AND user_id = '{user}'", scene.account());
    scene.database.number(&format!("SELECT coalesce((SELECT coalesce(role, 0) FROM members WHERE {of}), -1)")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_loses_sessions_and_tokens_on_every_instance() {
    let (here, there) = two_instances().await;
    let scene = Scene::new(&here).await;
    let provider = Provider::of(&scene.cast.customer).await;
    let (who, domain) = (&scene.cast.stranger, domain_of(&scene.cast.customer).await);
    let (email, id) = (format!("{}@{domain}", unique()), who.as_user().id.to_string());
    set_address(&here.database, who, &email).await;
    // A person who exists is joined.
    assert_eq!(provider.provision(&email).await, id);
    let of_account = format!("WHERE account_id = '{}' AND user_id = '{id}'", scene.account());
    here.database.sql(&format!("UPDATE members SET role = 2, version = version + 1 {of_account}")).await;

    let login = json!({ "email": email, "password": who.as_user().password, "accountId": scene.account() });
    let pair = scene.cast.anonymous.rest("AuthService.Login", login).await.success();
    let session = |app: &TestApp| Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    let draft = json!({ "name": "Mine", "kind": "SERVICE_KEY_KIND_PERSON", "scopes": ["support.tickets.read"] });
    let secret = session(&here).rest("ServiceKeyService.CreateServiceKey", draft).await.success().text("/secret");
    let token = |app: &TestApp| Actor::bearer(&app.endpoint, secret.clone());
    let list = async |who: Actor| who.rest("TicketService.ListTickets", json!({})).await;
    for app in [&here, &there] {
        list(session(app)).await.success();
        list(token(app)).await.success();
    }
    wait_until_both_poll(&here).await;

    let left = provider.set_active(&id, json!("False")).await.success();
    assert_eq!(left.body["active"], json!(false));
    for app in [&here, &there] {
        eventually("the session and the token are refused", async || {
            list(session(app)).await.status == 401 && list(token(app)).await.status == 401
        })
        .await;
    }
    let refresh = json!({ "refreshToken": pair.text("/data/refreshToken") });
    let refreshed = scene.cast.anonymous.rest("AuthService.Refresh", refresh).await;
    assert_eq!(refreshed.status, 401, "{refreshed:#?}");
    assert_eq!(role_of(&scene, &id).await, -1);
    // The other account of the person is unaffected.
    list(Actor::user(&here.endpoint, who.as_user().clone())).await.success();

    let returned = provider.set_active(&id, json!(true)).await.success();
    assert_eq!((&returned.body["active"], role_of(&scene, &id).await), (&json!(true), 2));
    provider.send(Method::DELETE, &format!("Users/{id}"), None).await.success();
    assert_eq!(role_of(&scene, &id).await, -1);
    provider.get(&format!("Users/{id}")).await.failure("NOT_FOUND");
    let users = format!("SELECT count(*) FROM users WHERE id = '{id}' AND deactivated_at IS NULL");
    assert_eq!(here.database.number(&users).await, 1, "the person remains");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_another_account_reach_nothing() {
    let (_app, scene) = Scene::start().await;
    let (own, other) = (Provider::of(&scene.cast.customer).await, Provider::of(&scene.cast.stranger).await);
    let domain = domain_of(&scene.cast.customer).await;
    let id = own.provision(&format!("ada@{domain}")).await;
    let group = own.group("Admin", &[&id]).await;
    for path in [format!("Users/{id}"), group] {
        other.get(&path).await.failure("NOT_FOUND");
        other.send(Method::PUT, &path, Some(json!({ "displayName": "X" }))).await.failure("NOT_FOUND");
        other.patch(&path, json!([{ "op": "remove", "path": "externalId" }])).await.failure("NOT_FOUND");
        other.send(Method::DELETE, &path, None).await.failure("NOT_FOUND");
        own.get(&path).await.success();
    }
    let foreign = json!({ "displayName": "Viewer", "members": [{ "value": id }] });
    let refused = other.create("Groups", foreign).await;
    assert_eq!((refused.status, &refused.body["scimType"]), (400, &json!("invalidValue")), "{refused:#?}");
    assert_eq!(other.get(&format!("Users?filter=id%20eq%20%22{id}%22")).await.success().body["totalResults"], json!(0));
    assert_eq!(role_of(&scene, &id).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_outside_of_the_proved_domains_is_refused() {
    let (app, scene) = Scene::start().await;
    let provider = Provider::of(&scene.cast.customer).await;
    let (own, foreign) = (domain_of(&scene.cast.customer).await, domain_of(&scene.cast.stranger).await);
    for email in [format!("ada@{foreign}"), format!("ada@mail.{own}"), format!("ada@{}", new_domain())] {
        let refused = provider.create("Users", json!({ "userName": email })).await.failure("ADDRESS_OUTSIDE_DOMAINS");
        assert_eq!((refused.status, &refused.body["status"]), (403, &json!("403")));
        assert_eq!(refused.body["schemas"], json!([ERROR]));
        assert_eq!(refused.header("content-type"), Some("application/scim+json"));
        let users = format!("SELECT count(*) FROM users WHERE email = '{email}'");
        assert_eq!(app.database.number(&users).await, 0);
    }
    // A person of another domain whom a colleague has invited keeps the own name.
    let (colleague, before) = (scene.cast.colleague.as_user().id, "SELECT name FROM users WHERE id = ");
    let name = async || app.database.sql(&format!("{before}'{colleague}'")).await[0][0].clone();
    let old = name().await;
    let path = format!("Users/{colleague}");
    provider.patch(&path, json!([{ "op": "replace", "path": "displayName", "value": "Eve" }])).await.success();
    assert_eq!(name().await, old);
    // Nor does a group bring back the person, whom a member has removed.
    let group = provider.group("Engineering", &[&colleague.to_string()]).await;
    let member = json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await });
    scene.cast.customer.rest("MemberService.RemoveMember", member).await.success();
    provider.patch(&group, json!([{ "op": "replace", "path": "displayName", "value": "Admin" }])).await.success();
    let refused = provider.set_active(&colleague.to_string(), json!(true)).await;
    refused.failure("ADDRESS_OUTSIDE_DOMAINS");
    let own_user = provider.provision(&format!("ada@{own}")).await;
    let renamed = json!([{ "op": "replace", "path": "displayName", "value": "Ada Lovelace" }]);
    let renamed = provider.patch(&format!("Users/{own_user}"), renamed).await.success();
    assert_eq!(renamed.body["displayName"], json!("Ada Lovelace"));
    let moved = json!([{ "op": "replace", "path": "userName", "value": format!("eve@{own}") }]);
    let moved = provider.patch(&format!("Users/{own_user}"), moved).await;
    assert_eq!((moved.status, &moved.body["scimType"]), (400, &json!("mutability")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_role_is_forgotten_with_the_next_membership() {
    let (_app, scene) = Scene::start().await;
    let (provider, guest) = (Provider::of(&scene.cast.customer).await, &scene.cast.stranger);
    domain_of(&scene.cast.customer).await;
    let id = guest.as_user().id.to_string();
    let invite = async || {
        let token = create_token(&scene, &guest.as_user().email).await;
        guest.rest("InvitationService.AcceptInvitation", json!({ "token": token })).await.success().id()
    };
    // A suspended person returns with the kept role, also without a proved domain.
    invite().await;
    provider.set_active(&id, json!(false)).await.success();
    provider.set_active(&id, json!(true)).await.success();
    assert_eq!(role_of(&scene, &id).await, 3);
    provider.set_active(&id, json!(false)).await.success();
    // Not after a membership by an invitation, which a member has ended.
    let member = json!({ "memberId": invite().await });
    scene.cast.customer.rest("MemberService.RemoveMember", member).await.success();
    provider.set_active(&id, json!(true)).await.failure("ADDRESS_OUTSIDE_DOMAINS");
    assert_eq!(role_of(&scene, &id).await, -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_selects_and_injects_nothing() {
    let (_app, scene) = Scene::start().await;
    let (provider, domain) = (Provider::of(&scene.cast.customer).await, domain_of(&scene.cast.customer).await);
    let email = format!("a_b%c@{domain}");
    let draft = json!({ "userName": email, "externalId": "00u_1%", "displayName": "O'Neil \"X\"" });
    let id = provider.create("Users", draft).await.success().text("/id");
    provider.provision(&format!("axbyc@{domain}")).await;
    let query = async |filter: &str| {
        let filter = percent_encoding::utf8_percent_encode(filter, percent_encoding::NON_ALPHANUMERIC).to_string();
        provider.get(&format!("Users?filter={filter}&startIndex=1&count=50&aadOptscim062020")).await
    };
    for filter in [
        format!("userName eq \"{}\"", email.to_uppercase()),
        format!("emails[type eq \"work\"].value eq \"{email}\""),
        "externalId eq \"00u_1%\"".to_owned(),
        "externalId sw \"00u_\" and active eq true".to_owned(),
        "displayName eq \"o'neil \\\"x\\\"\"".to_owned(),
        format!("id eq \"{id}\""),
    ] {
        let found = query(&filter).await.success();
        assert_eq!((&found.body["totalResults"], found.text("/Resources/0/id")), (&json!(1), id.clone()), "{filter}");
    }
    for nothing in [
        "userName eq \"%\"",
        "externalId eq \"00ux1%\"",
        "userName eq \"' OR '1'='1\"",
        "id eq \"x' OR true --\"",
        "displayName eq \"\\\\\"",
    ] {
        assert_eq!(query(nothing).await.success().body["totalResults"], json!(0), "{nothing}");
    }
    for wrong in ["userName", "userName eq \"a\" or active eq true", "password eq \"a\"", "(active eq true)"] {
        let refused = query(wrong).await;
        assert_eq!(
            (refused.status, &refused.body["scimType"]),
            (400, &json!("invalidFilter")),
            "{wrong}: {refused:#?}"
        );
    }
    let page = provider.get("Users?startIndex=2&count=1").await.success();
    assert_eq!((&page.body["startIndex"], &page.body["itemsPerPage"]), (&json!(2), &json!(1)));
    let none = provider.get("Users?count=0").await.success();
    assert!(none.body["totalResults"].as_i64().is_some_and(|total| total >= 4) && none.body["Resources"] == json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_request_is_refused() {
    let (_app, scene) = Scene::start().await;
    let provider = Provider::of(&scene.cast.customer).await;
    let group = provider.group("Everyone", &[]).await;
    let operation = json!({ "op": "add", "path": "externalId", "value": "x" });
    let many = provider.patch(&group, vec![operation; 101].into()).await;
    assert_eq!((many.status, &many.body["scimType"]), (400, &json!("invalidSyntax")), "{many:#?}");
    let members: Vec<_> = (0..1001_u128).map(|n| json!({ "value": uuid::Uuid::from_u128(n).to_string() })).collect();
    let added = json!([{ "op": "add", "path": "members", "value": members }]);
    provider.patch(&group, added).await.failure("PAYLOAD_TOO_LARGE");
    let long = json!([{ "op": "add", "path": "externalId", "value": "x".repeat(2 << 20) }]);
    assert_eq!(provider.patch(&group, long).await.status, 413);
    let nested = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let url = format!("{}/scim/v2/{group}", provider.endpoint.base());
    let request = provider.endpoint.http.patch(url).bearer_auth(&provider.token).body(nested);
    let refused = request.header("content-type", "application/scim+json").send().await.expect("an answer");
    assert_eq!(refused.status(), 400, "a deep document");
    assert!(provider.get(&group).await.success().body["members"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creations_make_one_person() {
    let (here, there) = two_instances().await;
    let scene = Scene::new(&here).await;
    let (one, domain) = (Provider::of(&scene.cast.customer).await, domain_of(&scene.cast.customer).await);
    let two = Provider { endpoint: there.endpoint.clone(), token: one.token.clone() };
    let email = format!("{}@{domain}", unique().to_lowercase());
    let draft = json!({ "userName": email, "displayName": "Ada" });
    let create = |number: usize| [&one, &two][number % 2].create("Users", draft.clone());
    let answers = join_all((0..6).map(create)).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let taken = |answer: &&Response| answer.status == 409 && answer.body["scimType"] == json!("uniqueness");
    assert_eq!((created, answers.iter().filter(taken).count()), (1, 5), "{answers:#?}");
    let count = "SELECT count(*) FROM users JOIN members ON user_id = users.id WHERE email = ";
    assert_eq!(here.database.number(&format!("{count}'{email}'")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_is_never_removed() {
    let (_app, scene) = Scene::start().await;
    let provider = Provider::of(&scene.cast.customer).await;
    let [last, other] = [&scene.cast.customer, &scene.cast.colleague].map(|who| who.as_user().id.to_string());
    let owners = format!("SELECT count(*) FROM members WHERE account_id = '{}' AND role = 1", scene.account());
    scene
        .database
        .sql(&format!(
            "UPDATE members SET role = 1 WHERE account_id = '{}' AND user_id IN ('{last}', '{other}')",
            scene.account()
        ))
        .await;
    // Both leave at once, and one of them stays.
    let both = join_all([&last, &other].map(|id| provider.set_active(id, json!(false)))).await;
    assert_eq!(
        both.iter().filter(|answer| answer.reason == "LAST_OWNER" && answer.status == 403).count(),
        1,
        "{both:#?}"
    );
    assert_eq!(scene.database.number(&owners).await, 1);
    let stayed = if both[0].status == 403 { &last } else { &other };
    let left = if stayed == &last { &other } else { &last };
    provider.send(Method::DELETE, &format!("Users/{stayed}"), None).await.failure("LAST_OWNER");
    // A person who was an owner returns as an admin, and a group does not change an owner.
    provider.set_active(left, json!(true)).await.success();
    assert_eq!(role_of(&scene, left).await, 2);
    provider.group("Viewer", &[stayed, left]).await;
    assert_eq!((role_of(&scene, stayed).await, role_of(&scene, left).await), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_give_the_roles_of_their_names_except_that_of_an_owner() {
    let (_app, scene) = Scene::start().await;
    let (provider, domain) = (Provider::of(&scene.cast.customer).await, domain_of(&scene.cast.customer).await);
    let id = provider.provision(&format!("ada@{domain}")).await;
    assert_eq!(role_of(&scene, &id).await, 3, "the role of the domain");
    provider.group("Owner", &[&id]).await;
    provider.group("Engineering", &[&id]).await;
    assert_eq!(role_of(&scene, &id).await, 3);
    let viewers = provider.group("VIEWER", &[&id]).await;
    assert_eq!(role_of(&scene, &id).await, 5);
    let admins = provider.group("admin", &[&id]).await;
    assert_eq!(role_of(&scene, &id).await, 2, "the higher role");
    let path = format!("members[value eq \"{id}\"]");
    provider.patch(&admins, json!([{ "op": "remove", "path": path }])).await.success();
    assert_eq!(role_of(&scene, &id).await, 5);
    // The name of a custom role.
    let custom = role(&scene.cast.customer, &["support.tickets.read"]).await;
    let name = scene.database.sql(&format!("SELECT name FROM roles WHERE id = '{custom}'")).await[0][0].clone();
    let renamed = json!([{ "op": "replace", "value": { "displayName": name } }]);
    provider.patch(&admins, json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }])).await.success();
    provider.patch(&admins, renamed).await.success();
    assert_eq!(role_of(&scene, &id).await, 0);
    let member = provider.get(&format!("{admins}?attributes=members.value")).await.success();
    assert_eq!(member.body["members"], json!([{ "value": id }]));
    for group in [viewers, admins] {
        provider.send(Method::DELETE, &group, None).await.success();
    }
    assert_eq!(role_of(&scene, &id).await, 3, "the role of the domain again");
    provider.create("Groups", json!({ "displayName": "engineering" })).await.failure("ALREADY_EXISTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_of_an_account_provisions_and_only_an_admin_creates_it() {
    let (_app, scene) = Scene::start().await;
    let anonymous = Provider { endpoint: scene.endpoint.clone(), token: "msk_wrong".to_owned() };
    let refused = anonymous.get("ServiceProviderConfig").await;
    assert_eq!((refused.status, &refused.body["schemas"]), (401, &json!([ERROR])), "{refused:#?}");
    let session = Provider { endpoint: scene.endpoint.clone(), token: scene.cast.customer.token().await.expect("one") };
    session.get("Users").await.failure("PERMISSION_DENIED");
    let lead = role(&scene.cast.customer, &["identity.service_keys.manage", SCOPE]).await;
    let member = json!({ "role": "MEMBER_ROLE_CUSTOM", "customRoleId": lead });
    let member = json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await, "member": member });
    scene.cast.customer.rest("MemberService.UpdateMember", member).await.success();
    let lead = Actor::user(&scene.endpoint, scene.cast.colleague.as_user().clone());
    let draft = json!({ "name": "SCIM", "scopes": [SCOPE] });
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        let create = lead.call(protocol, "ServiceKeyService.CreateServiceKey", draft.clone()).await;
        create.failure("PERMISSION_DENIED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_tag_changes_nothing() {
    let (_app, scene) = Scene::start().await;
    let (provider, domain) = (Provider::of(&scene.cast.customer).await, domain_of(&scene.cast.customer).await);
    let created = provider.create("Users", json!({ "userName": format!("ada@{domain}") })).await.success();
    let (id, tag) = (created.text("/id"), created.text("/meta/version"));
    assert_eq!(created.header("location"), Some(created.text("/meta/location").as_str()));
    assert_eq!(provider.get(&format!("Users/{id}")).await.header("etag"), Some(tag.as_str()));
    provider.set_active(&id, json!(false)).await.success();
    let url = format!("{}/scim/v2/Users/{id}", scene.endpoint.base());
    let delete = scene.endpoint.http.delete(url).bearer_auth(&provider.token).header("if-match", tag);
    rest::read(delete.send().await.expect("an answer")).await.failure("ETAG_MISMATCH");
    assert_eq!(provider.get(&format!("Users/{id}")).await.success().body["active"], json!(false));
}
