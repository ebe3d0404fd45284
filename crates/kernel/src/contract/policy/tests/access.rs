//! Access by role and scope.

use super::*;
use crate::{
    caller::{Caller, Means, Permit, SignIn, Visibility},
    error::Reason,
    id::{AccountId, SessionId, UserId},
};

const OPTION: &str = r#"
    name: "fleet"
    scopes: [
      {name: "fleet.vehicles.read" summary: "Read." holders: [HOLDER_OWNER, HOLDER_VIEWER, HOLDER_AGENT]},
      {name: "fleet.vehicles.sell" summary: "Sell."}
    ]
    grant_sets: [{
      name: "drivers"
      grants: [
        {role: ROLE_CUSTOMER reach: REACH_OWN_ACCOUNT},
        {role: ROLE_AGENT reach: REACH_ANY reach_without_scope: REACH_OWN_USER},
        {role: ROLE_ADMIN reach: REACH_ANY}
      ]
    }]"#;

fn policies(method: &str) -> Policies {
    let service = service_file("", GET, &policy(method), DATA);
    let sources = vec![("fleet/v1/module.proto", module_file("fleet.v1", OPTION)), ("fleet/v1/fleet.proto", service)];
    read(sources).expect("a good contract")
}

const USER: UserId = UserId(Uuid::from_u128(1));
const ACCOUNT: AccountId = AccountId(Uuid::from_u128(2));

/// The rows that a user reaches, or the scope or roles that the error names.
fn reached(policies: &Policies, role: Role, scopes: Arc<[Scope]>) -> Result<Visibility, String> {
    reached_in(Some(ACCOUNT), policies, role, scopes)
}

/// The same, with the account of the session.
fn reached_in(
    account: Option<AccountId>,
    policies: &Policies,
    role: Role,
    scopes: Arc<[Scope]>,
) -> Result<Visibility, String> {
    let (session, sign_in) = (SessionId(Uuid::nil()), SignIn::at(chrono::DateTime::UNIX_EPOCH));
    let caller = Caller::User { id: USER, account, role, session, scopes, sign_in };
    let permit = Permit::of(policies, "/fleet.v1.Vehicles/Do", caller);
    permit.map(|permit| permit.visibility()).map_err(|error| {
        assert_eq!(error.reason(), Reason::PermissionDenied);
        error.message().to_owned()
    })
}

#[test]
fn a_user_needs_the_scope_like_a_service() {
    let policies = policies("access: \"drivers\" scope: \"fleet.vehicles.read\"");
    let reached = |role, scopes: &[&str]| reached(&policies, role, policies.declared(scopes.iter().copied()));
    let all = ["fleet.vehicles.read"];
    assert_eq!(reached(Role::Customer, &all), Ok(Visibility::Account(ACCOUNT)));
    let alone = reached_in(None, &policies, Role::Customer, policies.declared(all));
    assert!(alone.is_err_and(|error| error.contains("a session with an account")), "of no account");
    assert_eq!(reached(Role::Agent, &all), Ok(Visibility::All));
    assert_eq!(reached(Role::Agent, &[]), Ok(Visibility::Principal(USER.0)), "what is reached without the scope");
    for role in [Role::Customer, Role::Admin] {
        let error = reached(role, &["fleet.vehicles.sell"]).expect_err("the scope is missing");
        assert!(error.contains("requires the scope fleet.vehicles.read"), "{error}");
    }
}

#[test]
fn callers_who_reach_everything_may_need_another_scope() {
    let method = "access: \"drivers\" scope: \"fleet.vehicles.read\" scope_for_any: \"fleet.vehicles.sell\"";
    let policies = policies(method);
    let reached = |role, scopes: &[&str]| reached(&policies, role, policies.declared(scopes.iter().copied()));
    assert_eq!(reached(Role::Customer, &["fleet.vehicles.read"]), Ok(Visibility::Account(ACCOUNT)));
    assert_eq!(reached(Role::Agent, &["fleet.vehicles.read"]), Ok(Visibility::Principal(USER.0)));
    assert_eq!(reached(Role::Agent, &["fleet.vehicles.sell"]), Ok(Visibility::All));
    reached(Role::Admin, &["fleet.vehicles.read"]).expect_err("an admin reaches everything");
}

#[test]
fn a_built_in_role_holds_the_scopes_that_name_it() {
    let policies = policies("access: \"self\"");
    let held = |role| policies.scopes_of(role).iter().map(Scope::to_string).collect::<Vec<_>>();
    for role in [BuiltInRole::Owner, BuiltInRole::Viewer, BuiltInRole::Agent] {
        assert_eq!(held(role), ["fleet.vehicles.read"], "{role:?}");
    }
    for role in [BuiltInRole::AccountAdmin, BuiltInRole::Member, BuiltInRole::Billing] {
        assert_eq!(held(role), [""; 0], "{role:?}");
    }
    assert_eq!(held(BuiltInRole::Admin), ["fleet.vehicles.read", "fleet.vehicles.sell"]);
    let of_accounts: Vec<_> = policies.scopes().map(DeclaredScope::is_of_accounts).collect();
    assert_eq!(of_accounts, [true, false]);
    assert_eq!(policies.declared(["fleet.vehicles.none"]).len(), 0, "an undeclared scope grants nothing");
}

#[test]
fn a_user_must_have_authenticated_recently_and_a_service_need_not() {
    let method = "access: \"drivers\" scope: \"fleet.vehicles.read\" max_auth_age_seconds: 600";
    let policies = policies(method);
    let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
    let scopes = policies.declared(["fleet.vehicles.read"]);
    let at = |seconds: i64| chrono::DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time");
    let user = |sign_in| Caller::User {
        id: USER,
        account: Some(ACCOUNT),
        role: Role::Customer,
        session: SessionId(Uuid::nil()),
        scopes: scopes.clone(),
        sign_in,
    };
    let granted = |sign_in, now| Permit::granted(method, user(sign_in), now).map(|permit| permit.is_some());
    assert!(granted(SignIn::at(at(0)), at(600)).expect("it is recent"));
    let old = granted(SignIn::at(at(0)), at(601)).expect_err("it is too long ago");
    assert_eq!(old.reason(), Reason::ReauthenticationRequired);
    let status = tonic::Status::from(old);
    let challenge = r#"Bearer error="insufficient_user_authentication", max_age=600"#;
    assert_eq!(status.metadata().get("www-authenticate").and_then(|value| value.to_str().ok()), Some(challenge));
    let incomplete = SignIn { needs_second_factor: true, ..SignIn::at(at(0)) };
    let refused = granted(incomplete, at(0)).expect_err("it lacks the factor");
    assert_eq!(refused.reason(), Reason::SecondFactorRequired);
    let service = Caller::Service { id: crate::id::ServiceKeyId(Uuid::nil()), account: None, scopes: scopes.clone() };
    let permit = Permit::new(service, crate::contract::policy::Reach::Any);
    permit.check_recent(chrono::TimeDelta::seconds(1), at(1_000_000)).expect("a service has no sign-in");
}

#[test]
fn a_method_may_be_open_to_a_user_without_the_second_factor() {
    let policies = policies("access: \"self\" before_second_factor: true");
    let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
    let now = chrono::DateTime::UNIX_EPOCH;
    let (account, session) = (Some(ACCOUNT), SessionId(Uuid::nil()));
    let sign_in = SignIn { needs_second_factor: true, ..SignIn::at(now) };
    let caller = Caller::User { id: USER, account, role: Role::Customer, session, scopes: [].into(), sign_in };
    assert!(Permit::granted(method, caller, now).expect("it is open").is_some());
}

#[test]
fn a_token_may_not_call_a_method_that_needs_a_session() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let sign_in = SignIn { means: Means::Token, ..SignIn::at(now) };
    let (account, session) = (Some(ACCOUNT), SessionId(Uuid::nil()));
    let caller = Caller::User { id: USER, account, role: Role::Customer, session, scopes: [].into(), sign_in };
    for (options, is_allowed) in [("", true), (" in_person: true", false), (" max_auth_age_seconds: 600", false)] {
        let policies = policies(&format!("access: \"self\"{options}"));
        let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
        let granted = Permit::granted(method, caller.clone(), now);
        match granted {
            Ok(permit) => assert!(permit.is_some() && is_allowed, "{options}"),
            Err(error) => assert!(error.reason() == Reason::PermissionDenied && !is_allowed, "{options}"),
        }
    }
}

/// The party that the account has chosen must not add a way to sign in to the other accounts of the user.
#[test]
fn a_session_of_one_account_changes_nothing_about_the_user_beyond_it() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let (account, session) = (Some(ACCOUNT), SessionId(Uuid::nil()));
    for (is_confined, options, is_allowed) in [
        (true, "", true),
        (true, " in_person: true", true),
        (true, " max_auth_age_seconds: 600", false),
        (false, " max_auth_age_seconds: 600", true),
    ] {
        let sign_in = SignIn { is_confined, ..SignIn::at(now) };
        let caller = Caller::User { id: USER, account, role: Role::Customer, session, scopes: [].into(), sign_in };
        let policies = policies(&format!("access: \"self\"{options}"));
        let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
        match Permit::granted(method, caller, now) {
            Ok(permit) => assert!(permit.is_some() && is_allowed, "{options}"),
            Err(error) => assert!(error.reason() == Reason::PermissionDenied && !is_allowed, "{options}"),
        }
    }
}

/// Without a scope, and with the narrower reach of one that lacks it, a method is for the user.
#[test]
fn an_application_calls_only_methods_of_its_scopes() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let (account, session) = (Some(ACCOUNT), SessionId(Uuid::nil()));
    let sign_in = SignIn { means: Means::Application(Uuid::nil()), ..SignIn::at(now) };
    let reach = |options: &str, scopes: &[&str]| {
        let policies = policies(options);
        let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
        let scopes = policies.declared(scopes.iter().copied());
        let caller = Caller::User { id: USER, account, role: Role::Customer, session, scopes, sign_in };
        Permit::granted(method, caller, now).map(|permit| permit.is_some())
    };
    let scoped = "access: \"account\" scope: \"fleet.vehicles.read\"";
    assert!(reach(scoped, &["fleet.vehicles.read"]).expect("it has the scope"));
    for (options, scopes) in [
        (scoped, &[][..]),
        ("access: \"self\"", &["fleet.vehicles.read"]),
        ("access: \"account\" scope: \"fleet.vehicles.read\" in_person: true", &["fleet.vehicles.read"]),
        ("access: \"account\" scope: \"fleet.vehicles.read\" max_auth_age_seconds: 600", &["fleet.vehicles.read"]),
    ] {
        assert_eq!(reach(options, scopes).expect_err(options).reason(), Reason::PermissionDenied, "{options}");
    }
}

/// It needs both grants: that of customers says what it reaches, and that of services that no person is needed.
#[test]
fn the_key_of_an_account_reaches_the_account_by_methods_that_accept_services() {
    let key = |scopes| Caller::Service { id: crate::id::ServiceKeyId(Uuid::nil()), account: Some(ACCOUNT), scopes };
    let reach = |options: &str| {
        let policies = policies(options);
        let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
        let caller = key(policies.declared(["fleet.vehicles.read"]));
        Permit::granted(method, caller, chrono::DateTime::UNIX_EPOCH).map(|permit| permit.map(|p| p.visibility()))
    };
    let of_scope = |set: &str| format!("access: \"{set}\" scope: \"fleet.vehicles.read\"");
    assert_eq!(reach(&of_scope("account")).expect("both may"), Some(Visibility::Account(ACCOUNT)));
    for refused in [of_scope("account_users"), of_scope("staff"), "access: \"self\"".to_owned()] {
        assert_eq!(reach(&refused).expect_err("one may not").reason(), Reason::PermissionDenied, "{refused}");
    }
}

#[test]
fn an_impersonation_reads_and_writes_only_if_it_is_allowed_to() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let may = |http: &str, allows_writes| {
        let service = service_file("", http, &policy("access: \"self\""), DATA);
        let sources =
            vec![("fleet/v1/module.proto", module_file("fleet.v1", OPTION)), ("fleet/v1/fleet.proto", service)];
        let policies = read(sources).expect("a good contract");
        let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
        let means = Means::Impersonation { by: UserId(Uuid::from_u128(9)), allows_writes };
        let sign_in = SignIn { means, ..SignIn::at(now) };
        let (account, session) = (Some(ACCOUNT), SessionId(Uuid::nil()));
        let caller = Caller::User { id: USER, account, role: Role::Customer, session, scopes: [].into(), sign_in };
        Permit::granted(method, caller, now).is_ok()
    };
    let post = r#"option (google.api.http) = {post: "/api/v1/do" body: "*"};"#;
    assert_eq!([may(GET, false), may(GET, true), may(post, false), may(post, true)], [true, true, false, true]);
}
