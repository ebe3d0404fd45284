//! Users: permissions to change them, and the sessions that a change ends.

use mainstay_kernel::contract::policy::Role;
use serde_json::json;

use crate::support::{
    Actor, PROTOCOLS, Protocol, TestApp, app::environment, database::connect, eventually, people, unique,
};

fn role(who: &Actor, role: &str) -> serde_json::Value {
    json!({ "userId": who.as_user().id.to_string(), "role": role })
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = cast.customer.as_user().id.to_string();
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let name = format!("Name {number}");
        let patch = json!({ "userId": id, "user": { "name": name } });
        let response = cast.customer.call(protocol, "UserService.UpdateUser", patch.clone()).await.success();
        assert_eq!((response.text("/data/name"), response.text("/data/version")), (name, (number + 2).to_string()));
        let again = cast.customer.call(protocol, "UserService.UpdateUser", patch.clone()).await.success();
        assert_eq!(again.text("/data/version"), response.text("/data/version"), "nothing changed");
        let old = [("if-match", "\"1\"")];
        cast.customer.call_with(protocol, "UserService.UpdateUser", patch, &old).await.failure("ETAG_MISMATCH");
        let call = |request| cast.customer.call(protocol, "UserService.UpdateUser", request);
        call(json!({ "userId": id, "user": {} })).await.failure("VALIDATION_FAILED");
        let cleared = json!({ "userId": id, "user": {}, "updateMask": "name" });
        call(cleared).await.failure("VALIDATION_FAILED");
        let other = json!({ "userId": cast.colleague.as_user().id.to_string(), "user": { "name": "Not me" } });
        call(other).await.failure("NOT_FOUND");
    }
}

/// The memberships change without the user, so that a browser must not revalidate them by the version of the user.
#[tokio::test]
async fn a_profile_has_no_tag() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let me = cast.customer.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!((me.header("etag"), me.header("cache-control")), (None, Some("no-store")));
}

/// In a container without a shell, only a file or the standard input keeps a password out of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_gets_the_password_of_a_file() {
    const PASSWORD: &str = "measure twice, cut once";
    let (app, cast) = TestApp::start_with_cast().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{PASSWORD}\n")).expect("written");
    let path = file.path().to_str().expect("text");
    let (password, named) = (("MAINSTAY_PASSWORD", PASSWORD), ("MAINSTAY_PASSWORD_FILE", path));
    let option = format!("--password-file {path}");
    let cases = [
        ("", Some(password), true),
        ("", Some(named), true),
        (option.as_str(), None, true),
        ("--password-file -", None, true),
        ("--password-file -", Some(password), false),
        ("", None, false),
    ];
    for (arguments, variable, is_created) in cases {
        let email = format!("{}@example.com", unique());
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["users", "create-admin", email.as_str()]).args(arguments.split_whitespace());
        command.env_clear().envs(environment(&app.database, &[]).await).envs(variable);
        let stdin = std::fs::File::open(path).expect("a file");
        let output = command.stdin(stdin).output().await.expect("the binary runs");
        assert_eq!(output.status.success(), is_created, "{arguments} {variable:?}: {output:?}");
        let request = json!({ "email": email, "password": PASSWORD });
        let answer = cast.anonymous.rest("AuthService.Login", request).await;
        let entries = format!(
            "SELECT count(*) FROM audit_entries JOIN users ON users.id = resource_id WHERE email = '{email}'
                AND method = 'command' AND changes -> 'role' ->> 'after' = 'ROLE_ADMIN'"
        );
        assert_eq!(app.database.number(&entries).await, i64::from(is_created), "{arguments} {variable:?}");
        if is_created {
            answer.success();
        } else {
            answer.failure("INVALID_CREDENTIALS");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_a_user_an_admin() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (agent, session) = (cast.agent.as_user(), cast.agent.clone());
    session.rest("UserService.GetMe", json!({})).await.success();
    let deactivated = "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left'";
    app.database.sql(&format!("{deactivated} WHERE id = '{}'", agent.id)).await;
    let make_admin = async |email: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["users", "make-admin", email]).env_clear().envs(environment(&app.database, &[]).await);
        command.output().await.expect("the binary runs")
    };
    assert!(!make_admin(&format!("{}@example.com", unique())).await.status.success(), "an unknown user");
    let leaver = cast.colleague.as_user();
    let leaves = format!("UPDATE users SET deletion_at = now() + interval '9 days' WHERE id = '{}'", leaver.id);
    app.database.sql(&leaves).await;
    assert!(!make_admin(&leaver.email).await.status.success(), "the user would not stay");
    let output = make_admin(&agent.email.to_uppercase()).await;
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains(&agent.id.to_string()),
        "{output:?}"
    );
    eventually("the old session has ended", async || {
        session.rest("UserService.GetMe", json!({})).await.reason == "SESSION_REVOKED"
    })
    .await;
    let admin = Actor::user(&app.endpoint, agent.clone());
    let me = admin.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!((&me.data()["role"], &me.data()["state"]), (&json!("ROLE_ADMIN"), &json!("USER_STATE_ACTIVE")));
    admin.rest("ServiceKeyService.ListServiceKeys", json!({})).await.success();
    let entries = "SELECT resource_id, changes -> 'role' ->> 'before', changes -> 'role' ->> 'after' FROM audit_entries
        WHERE method = 'command' AND resource_kind = 'identity.user' AND actor_kind = 5";
    let expected = [agent.id.to_string(), "ROLE_AGENT".to_owned(), "ROLE_ADMIN".to_owned()].map(Some).to_vec();
    assert_eq!(app.database.sql(entries).await, [expected]);
}

/// Two admins revoke each other's role on two instances. An external lock ensures that both have begun.
#[tokio::test(flavor = "multi_thread")]
async fn two_admins_cannot_depose_each_other() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let admins = people::users(&here.database, &[(Role::Admin, None), (Role::Admin, None)]).await;
    let [one, two] = <[_; 2]>::try_from(admins).expect("two").map(|user| Actor::user(&here.endpoint, user));
    let two = two.at(&there.endpoint);
    for admin in [&one, &two] {
        admin.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    }
    let outside = connect(&here.database.url).await;
    outside.batch_execute("BEGIN; SELECT id FROM users ORDER BY id FOR UPDATE").await.expect("the locks");
    let calls = [(one.clone(), role(&two, "ROLE_CUSTOMER")), (two.clone(), role(&one, "ROLE_CUSTOMER"))];
    let calls = calls.map(|(admin, request)| {
        tokio::spawn(async move { admin.call(Protocol::Grpc, "UserService.SetUserRole", request).await })
    });
    here.database.locks_waited_for(2).await;
    outside.batch_execute("COMMIT").await.expect("the locks go");
    let mut deposed = 0;
    for call in calls {
        let answer = call.await.expect("no panic");
        deposed += usize::from(answer.reason.is_empty());
    }
    assert_eq!(deposed, 1);
    assert_eq!(here.database.number("SELECT count(*) FROM users WHERE role = 3").await, 1);
}

#[tokio::test]
async fn a_user_is_found_by_address() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let address = &cast.customer.as_user().email;
    for protocol in PROTOCOLS {
        let find = async |request| {
            let response = cast.agent.call(protocol, "UserService.ListUsers", request).await.success();
            response.data().as_array().expect("a list").iter().map(|user| user["id"].clone()).collect::<Vec<_>>()
        };
        let id = json!(cast.customer.as_user().id.to_string());
        assert_eq!(find(json!({ "email": address.to_uppercase() })).await, [id]);
        assert!(find(json!({ "email": address, "roles": ["ROLE_AGENT"] })).await.is_empty());
        assert!(find(json!({ "email": "nobody@example.com" })).await.is_empty());
        let (part, _) = address.split_once('@').expect("an address");
        cast.agent.call(protocol, "UserService.ListUsers", json!({ "email": part })).await.failure("VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn the_list_is_paged_by_token() {
    let (_app, cast) = TestApp::start_with_cast().await;
    cast.agent.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
    for protocol in PROTOCOLS {
        let (mut token, mut ids) = (String::new(), Vec::new());
        loop {
            let request = json!({ "pageSize": 2, "pageToken": token, "roles": ["ROLE_CUSTOMER"] });
            let page = cast.agent.call(protocol, "UserService.ListUsers", request).await.success();
            ids.extend(page.data().as_array().expect("a list").iter().map(|user| user["id"].to_string()));
            match page.body["meta"]["nextPageToken"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        ids.dedup();
        assert_eq!(ids.len(), 3, "the customers of the cast");
        let other = json!({ "pageToken": token, "roles": ["ROLE_AGENT"] });
        cast.agent.call(protocol, "UserService.ListUsers", other).await.failure("VALIDATION_FAILED");
    }
}
