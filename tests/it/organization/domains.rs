//! Mail domains: people with addresses of a domain that an account has proved join the account, and no others.

use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::{Value, json};

use super::{count_members, create_token, member};
use crate::{
    cases::{
        Scene,
        account_domain::{add_domain, new_domain, publish, set_address, verify_domain},
        member_of,
    },
    session::{registration, reset},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, database::connect, dns, people::PASSWORD, unique},
};

const VERIFY: &str = "AccountDomainService.VerifyAccountDomain";
const JOIN: &str = "AccountDomainService.JoinAccount";
const CONFIRM: &str = "AuthService.ConfirmRegistration";
const TASK: &str = "check_account_domains";

/// Registers an address with the token of its mail; returns the account of the first session.
async fn register(app: &TestApp, scene: &Scene, protocol: Protocol, email: &str) -> String {
    let token = registration::create_token(&app.database, &email.to_lowercase()).await;
    // The clock of the app may be ahead of that of Postgres.
    app.database.sql("UPDATE registrations SET expires_at = expires_at + interval '1 year'").await;
    let confirm = json!({ "token": token, "password": PASSWORD, "name": "Zoë", "accountName": "Zoë's own" });
    scene.cast.anonymous.call(protocol, CONFIRM, confirm).await.success();
    let login = json!({ "email": email, "password": PASSWORD });
    scene.cast.anonymous.call(protocol, "AuthService.Login", login).await.success().text("/data/accountId")
}

async fn verify(who: &Actor, domain: &Value) -> Response {
    who.call(Protocol::Grpc, VERIFY, json!({ "accountDomainId": domain["id"] })).await
}

async fn state(app: &TestApp, domain: &Value) -> (i64, i64) {
    let of = async |column: &str| {
        let id = domain["id"].as_str().expect("an id");
        app.database.number(&format!("SELECT {column} FROM account_domains WHERE id = '{id}'")).await
    };
    (of("state").await, of("failures").await)
}

const MAILS: &str = "SELECT count(*) FROM mails WHERE kind = 32";

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_person_joins_with_the_role_that_the_account_chose() {
    let (app, scene) = Scene::start().await;
    for protocol in PROTOCOLS {
        let name = new_domain();
        let domain = add_domain(&scene.cast.customer, &name.to_uppercase(), "MEMBER_ROLE_VIEWER").await;
        assert_eq!((&domain["domain"], &domain["state"]), (&json!(name), &json!("ACCOUNT_DOMAIN_STATE_PENDING")));
        // A claim without a proof has no effect.
        let early = register(&app, &scene, protocol, &format!("early@{name}")).await;
        assert_ne!(early, scene.account());
        publish(&domain);
        let verified = verify(&scene.cast.customer, &domain).await.success();
        assert_eq!(verified.text("/data/state"), "ACCOUNT_DOMAIN_STATE_VERIFIED");

        let email = format!("Ada@{}", name.to_uppercase());
        assert_eq!(register(&app, &scene, protocol, &email).await, scene.account());
        let joined = format!(
            "SELECT members.role FROM members JOIN users ON users.id = user_id WHERE email = '{}' AND account_id = '{}'",
            email.to_lowercase(),
            scene.account()
        );
        assert_eq!(app.database.number(&joined).await, 5, "a viewer");
        let accounts =
            "SELECT count(*) FROM accounts WHERE name = 'Zoë''s own' AND created_at > now() - interval '1 hour'";
        let own = app.database.number(accounts).await;
        let entries = format!(
            "SELECT count(*) FROM audit_entries WHERE account_id = '{}' AND changes #>> '{{joinedByDomain,after}}' = '{name}'",
            scene.account()
        );
        assert_eq!(app.database.number(&entries).await, 1);
        assert_eq!(register(&app, &scene, protocol, &format!("bob@{name}")).await, scene.account());
        assert_eq!(app.database.number(accounts).await, own, "no account for a person who joins");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_very_domain_admits() {
    let (app, scene) = Scene::start().await;
    let name = new_domain();
    let domain = verify_domain(&scene.cast.customer, &name).await;
    let before = count_members(&scene).await;
    // Cyrillic letters look like the Latin ones. Their name in ASCII, which is the form that addresses have, is another one.
    let homograph = format!("ada@{}", name.replace('a', "\u{430}").replace('e', "\u{435}"));
    let begin = json!({ "email": homograph });
    scene.cast.anonymous.rest("AuthService.Register", begin).await.success();
    let stored = app.database.sql("SELECT email FROM registrations WHERE email LIKE 'ada@xn--%'").await;
    let homograph = stored[0][0].clone().expect("an address");
    let others =
        [format!("ada@evil.{name}"), format!("ada@evil-{name}"), format!("ada@{name}.evil.example"), homograph];
    for email in &others {
        assert_ne!(register(&app, &scene, Protocol::Rest, email).await, scene.account(), "{email}");
    }
    for wrong in [format!("ada@{name}."), format!("ada@evil.example@{name}"), format!("ada@{name}%00.evil.example")] {
        let begin = json!({ "email": wrong });
        scene.cast.anonymous.rest("AuthService.Register", begin).await.failure("VALIDATION_FAILED");
    }
    assert_eq!(count_members(&scene).await, before);
    // A subdomain that the account declares and proves is another domain of the account.
    let below = verify_domain(&scene.cast.customer, &format!("mail.{name}")).await;
    assert_ne!(below["id"], domain["id"]);
    let email = format!("ada@mail.{name}");
    assert_eq!(register(&app, &scene, Protocol::Rest, &email).await, scene.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_address_joins_nothing() {
    let (app, scene) = Scene::start().await;
    let name = new_domain();
    verify_domain(&scene.cast.customer, &name).await;
    // As an operator or an import creates users.
    let who = &scene.cast.stranger;
    set_address(&app.database, who, &format!("ada@{name}")).await;
    app.database.sql("UPDATE users SET email_confirmed_at = now() - interval '25 hours'").await;
    for protocol in PROTOCOLS {
        who.call(protocol, JOIN, json!({})).await.failure("NO_ACCOUNT_TO_JOIN");
    }
    // The token of a reset was in a mail to the address.
    let token = reset::create_token(&app.database, who.as_user()).await;
    let password = format!("brand new {}", unique());
    let request = json!({ "token": token, "password": password });
    scene.cast.anonymous.rest("AuthService.ConfirmPasswordReset", request).await.success();
    let login = json!({ "email": format!("ada@{name}"), "password": password });
    let pair = scene.cast.anonymous.rest("AuthService.Login", login).await.success();
    let me = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    let joined = me.rest(JOIN, json!({})).await.success();
    assert_eq!((joined.status, joined.text("/data/accountId")), (201, scene.account()));
    assert_eq!(joined.text("/data/role"), "MEMBER_ROLE_MEMBER");
}

/// Two accounts have a record at the domain, and verify it at once: the index on verified domains decides.
#[tokio::test(flavor = "multi_thread")]
async fn one_account_has_a_verified_domain() {
    let app = TestApp::start().await;
    let [first, second] = [Scene::new(&app).await, Scene::new(&app).await];
    for _ in 0..5 {
        let name = new_domain();
        let [one, two] = [
            add_domain(&first.cast.customer, &name, "MEMBER_ROLE_MEMBER").await,
            add_domain(&second.cast.customer, &name, "MEMBER_ROLE_MEMBER").await,
        ];
        assert_ne!(one["recordValue"], two["recordValue"]);
        let record = one["recordName"].as_str().expect("a name");
        dns::set_texts(record, [&one, &two].map(|domain| domain["recordValue"].as_str().expect("a text")));
        // An external lock ensures that both have seen their records.
        let outside = connect(&app.database.url).await;
        let accounts = format!("'{}', '{}'", first.account(), second.account());
        let lock = format!("BEGIN; SELECT id FROM accounts WHERE id IN ({accounts}) FOR UPDATE");
        outside.batch_execute(&lock).await.expect("the locks");
        let release = async {
            app.database.locks_waited_for(2).await;
            outside.batch_execute("COMMIT").await.expect("the locks go");
        };
        let calls = join(verify(&first.cast.customer, &one), verify(&second.cast.customer, &two));
        let ((a, b), ()) = join(calls, release).await;
        let mut reasons = [a.reason.as_str(), b.reason.as_str()];
        reasons.sort_unstable();
        assert_eq!(reasons, ["", "ALREADY_EXISTS"], "{a:#?} {b:#?}");
        let verified = format!("SELECT count(*) FROM account_domains WHERE domain = '{name}' AND state = 2");
        assert_eq!(app.database.number(&verified).await, 1);
    }
}

/// The new owner of a domain has removed the record of the former one.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_changed_hands_leaves_its_account() {
    let app = TestApp::start().await;
    let [former, new] = [Scene::new(&app).await, Scene::new(&app).await];
    let name = new_domain();
    let lost = verify_domain(&former.cast.customer, &name).await;
    let won = add_domain(&new.cast.customer, &name, "MEMBER_ROLE_MEMBER").await;
    // A claim alone takes nothing.
    verify(&new.cast.customer, &won).await.failure("DOMAIN_NOT_PROVED");
    assert_eq!(state(&app, &lost).await, (2, 0));
    publish(&won);
    verify(&new.cast.customer, &won).await.success();
    assert_eq!((state(&app, &lost).await.0, state(&app, &won).await.0), (3, 2));
    assert_eq!(app.database.number(MAILS).await, 2, "to both owners of the former account");
    assert_eq!(register(&app, &new, Protocol::Rest, &format!("ada@{name}")).await, new.account());
    // The former account learns nothing about the person who has the domain now.
    let id = lost["id"].as_str().expect("an id");
    let entry = format!(
        "SELECT actor_kind::text, actor_id::text, personal::text FROM audit_entries WHERE resource_id = '{id}'
         AND changes #>> '{{state,after}}' = 'ACCOUNT_DOMAIN_STATE_LAPSED'"
    );
    assert_eq!(app.database.sql(&entry).await, [vec![Some("5".to_owned()), None, None]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_its_record_lapses_after_three_look_ups() {
    let (app, scene) = Scene::start().await;
    let name = new_domain();
    let domain = verify_domain(&scene.cast.customer, &name).await;
    let record = domain["recordName"].as_str().expect("a name");
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "not due");
    app.app.clock.advance(TimeDelta::days(31));
    assert_eq!(app.run_task(TASK).await.expect("a run"), 1);
    assert_eq!(state(&app, &domain).await, (2, 0));
    dns::set_texts(record, ["v=spf1 -all"]);
    app.app.clock.advance(TimeDelta::days(31));
    for failures in 1..3 {
        assert_eq!(app.run_task(TASK).await.expect("a run"), 1);
        assert_eq!(state(&app, &domain).await, (2, failures));
        assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "a day later");
        app.app.clock.advance(TimeDelta::hours(25));
    }
    // No answer is no evidence.
    dns::fail(record);
    assert_eq!(app.run_task(TASK).await.expect("a run"), 1);
    assert_eq!(state(&app, &domain).await, (2, 2));
    app.app.clock.advance(TimeDelta::hours(25));
    dns::set_texts(record, Vec::<String>::new());
    assert_eq!(app.run_task(TASK).await.expect("a run"), 1);
    assert_eq!(state(&app, &domain).await, (3, 3));
    assert_eq!(app.database.number(MAILS).await, 2, "to each owner of the account");
    let entry = "SELECT count(*) FROM audit_entries WHERE resource_kind = 'identity.account_domain' AND actor_kind = 5";
    assert_eq!(app.database.number(entry).await, 1);
    app.app.clock.advance(TimeDelta::days(31));
    assert_eq!(app.run_task(TASK).await.expect("a run"), 0, "a lapsed domain is not looked up");
    assert_ne!(register(&app, &scene, Protocol::Rest, &format!("ada@{name}")).await, scene.account());
}

/// The last look-up was up to 30 days ago, and the domain may belong to another company since.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_joins_only_while_the_record_is_present() {
    let app = TestApp::start().await;
    let scene = Scene::new(&app).await;
    let name = new_domain();
    let domain = verify_domain(&scene.cast.customer, &name).await;
    let record = domain["recordName"].as_str().expect("a name");
    dns::set_texts(record, Vec::<String>::new());
    app.app.clock.advance(TimeDelta::hours(23));
    assert_eq!(register(&app, &scene, Protocol::Rest, &format!("ada@{name}")).await, scene.account(), "a recent proof");
    app.app.clock.advance(TimeDelta::hours(2));
    for number in 0..2 {
        let own = register(&app, &scene, Protocol::Grpc, &format!("ben{number}@{name}")).await;
        assert_ne!(own, scene.account());
        assert_eq!(state(&app, &domain).await, (2, 1), "many people are one failure");
    }
    set_address(&app.database, &scene.cast.stranger, &format!("cy@{name}")).await;
    app.database.sql("UPDATE users SET email_confirmed_at = now() + interval '25 hours' WHERE email LIKE 'cy@%'").await;
    for break_server in [dns::fail as fn(&str), dns::silence] {
        break_server(record);
        scene.cast.stranger.call(Protocol::Rest, JOIN, json!({})).await.failure("NO_ACCOUNT_TO_JOIN");
        assert_eq!(state(&app, &domain).await, (2, 1), "no answer is no evidence");
    }
    publish(&domain);
    let joined = scene.cast.stranger.call(Protocol::Grpc, JOIN, json!({})).await.success();
    assert_eq!((joined.text("/data/accountId"), state(&app, &domain).await), (scene.account(), (2, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_name_server_holds_a_request_for_seconds_only() {
    let (_app, scene) = Scene::start().await;
    let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
    dns::silence(domain["recordName"].as_str().expect("a name"));
    let begun = std::time::Instant::now();
    verify(&scene.cast.customer, &domain).await.failure("UNAVAILABLE");
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

/// A member whom an admin removed does not join again, neither as the user nor as a new one with the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_joins_by_an_invitation_only() {
    let (app, scene) = Scene::start().await;
    let (name, cast) = (new_domain(), &scene.cast);
    verify_domain(&cast.customer, &name).await;
    let email = format!("ada@{name}");
    set_address(&app.database, &cast.stranger, &email).await;
    let joined = cast.stranger.rest(JOIN, json!({})).await.success();
    // A person who leaves may come back.
    cast.stranger.rest("MemberService.LeaveAccount", member(&joined.id())).await.success();
    let joined = cast.stranger.rest(JOIN, json!({})).await.success();
    cast.customer.rest("MemberService.RemoveMember", member(&joined.id())).await.success();
    for protocol in PROTOCOLS {
        cast.stranger.call(protocol, JOIN, json!({})).await.failure("NO_ACCOUNT_TO_JOIN");
    }
    // Under another address of the domain, and with a new user who has the address.
    set_address(&app.database, &cast.stranger, &format!("alias@{name}")).await;
    cast.stranger.rest(JOIN, json!({})).await.failure("NO_ACCOUNT_TO_JOIN");
    assert_ne!(register(&app, &scene, Protocol::Rest, &email).await, scene.account());
    // A tag leads to the same mailbox (RFC 5233), and another local part does not.
    for tagged in [format!("ada+work@{name}"), format!("ada+a+b@{name}")] {
        assert_ne!(register(&app, &scene, Protocol::Rest, &tagged).await, scene.account(), "{tagged}");
    }
    let other = register(&app, &scene, Protocol::Rest, &format!("adam+ada@{name}")).await;
    assert_eq!(other, scene.account());
    // The account invites the person again.
    let token = create_token(&scene, &format!("alias@{name}")).await;
    let accept = json!({ "token": token });
    cast.stranger.rest("InvitationService.AcceptInvitation", accept).await.success();
    let exclusions = "SELECT count(*) FROM domain_exclusions";
    assert_eq!(app.database.number(exclusions).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_to_be_deleted_admits_no_one() {
    let (app, scene) = Scene::start().await;
    let name = new_domain();
    let domain = verify_domain(&scene.cast.customer, &name).await;
    set_address(&app.database, &scene.cast.stranger, &format!("ada@{name}")).await;
    let account = scene.account();
    let schedule = format!("UPDATE accounts SET deletion_at = now() + interval '14 days' WHERE id = '{account}'");
    app.database.sql(&schedule).await;
    scene.cast.stranger.rest(JOIN, json!({})).await.failure("NO_ACCOUNT_TO_JOIN");
    assert_ne!(register(&app, &scene, Protocol::Rest, &format!("bob@{name}")).await, account);
    verify(&scene.cast.customer, &domain).await.failure("DELETION_SCHEDULED");
    let more = json!({ "domain": new_domain(), "role": "MEMBER_ROLE_MEMBER" });
    let create = "AccountDomainService.CreateAccountDomain";
    scene.cast.customer.rest(create, more).await.failure("DELETION_SCHEDULED");
}

/// The deletion and the registration lock the account: no person joins after the deletion has answered.
#[tokio::test(flavor = "multi_thread")]
async fn no_person_joins_by_a_deleted_domain() {
    let (app, scene) = Scene::start().await;
    for number in 0..5 {
        let name = new_domain();
        let domain = verify_domain(&scene.cast.customer, &name).await;
        let delete = json!({ "accountDomainId": domain["id"] });
        let delete = scene.cast.customer.rest("AccountDomainService.DeleteAccountDomain", delete);
        let email = format!("ada{number}@{name}");
        let outside = connect(&app.database.url).await;
        let lock = format!("BEGIN; SELECT id FROM accounts WHERE id = '{}' FOR UPDATE", scene.account());
        outside.batch_execute(&lock).await.expect("the lock");
        let release = async {
            app.database.locks_waited_for(2).await;
            outside.batch_execute("COMMIT").await.expect("the lock goes");
        };
        let both = join(delete, register(&app, &scene, Protocol::Grpc, &email));
        let ((deleted, _), ()) = join(both, release).await;
        deleted.success();
        assert_ne!(register(&app, &scene, Protocol::Rest, &format!("bob@{name}")).await, scene.account());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_of_an_account_are_limited() {
    let (app, scene) = Scene::start().await;
    let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
    for _ in 0..60 {
        verify(&scene.cast.customer, &domain).await.failure("DOMAIN_NOT_PROVED");
    }
    // The colleague shares the limit.
    for who in [&scene.cast.customer, &scene.cast.colleague] {
        verify(who, &domain).await.failure("RATE_LIMIT_EXCEEDED");
    }
    let other = Scene::new(&app).await;
    verify_domain(&other.cast.customer, &new_domain()).await;
}

/// The role that people get has no scope that the caller lacks.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gives_no_more_than_the_caller_has() {
    let (app, scene) = Scene::start().await;
    let id = member_of(&app.database, &scene.cast.colleague).await;
    let role = json!({ "name": "Domains", "scopes": ["identity.domains.manage", "identity.members.read"] });
    let role = scene.cast.customer.rest("RoleService.CreateRole", role).await.success().id();
    let change = json!({ "memberId": id, "member": { "customRoleId": role } });
    scene.cast.customer.rest("MemberService.UpdateMember", change).await.success();
    let login = json!({ "email": scene.cast.colleague.as_user().email, "password": PASSWORD });
    let pair = scene.cast.anonymous.rest("AuthService.Login", login).await.success();
    let colleague = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    let create = json!({ "domain": new_domain(), "role": "MEMBER_ROLE_MEMBER" });
    let method = "AccountDomainService.CreateAccountDomain";
    colleague.rest(method, create).await.failure("PERMISSION_DENIED");
    let domain = add_domain(&scene.cast.customer, &new_domain(), "MEMBER_ROLE_MEMBER").await;
    publish(&domain);
    verify(&colleague, &domain).await.failure("PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_tell_of_domains() {
    let (app, scene) = Scene::start().await;
    let types = ["identity.account_domain.verified", "identity.account_domain.lapsed"];
    let endpoint =
        json!({ "url": "https://hooks.example.invalid/", "eventTypes": types, "accountId": scene.account() });
    let create = "WebhookEndpointService.CreateWebhookEndpoint";
    scene.cast.admin.rest(create, endpoint).await.success();
    let domain = verify_domain(&scene.cast.customer, &new_domain()).await;
    // A repeated proof is no event.
    verify(&scene.cast.customer, &domain).await.success();
    dns::set_texts(domain["recordName"].as_str().expect("a name"), Vec::<String>::new());
    for days in [31, 2, 2] {
        app.app.clock.advance(TimeDelta::days(days));
        app.run_task(TASK).await.expect("a run");
    }
    let kinds = app.database.sql("SELECT kind FROM webhook_deliveries ORDER BY created_at").await;
    let kinds: Vec<_> = kinds.iter().filter_map(|row| row[0].as_deref()).collect();
    assert_eq!(kinds, types);
}
