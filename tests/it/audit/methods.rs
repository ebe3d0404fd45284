//! Each method that writes adds an entry; the exceptions are listed with their reasons.

use mainstay_kernel::contract::policy::Effect;

use crate::{
    cases::{self, Scene},
    support::{Protocol, TestApp, methods},
};

/// Methods whose successful calls have no entry.
const WITHOUT: [(&str, &str); 12] = [
    ("AuthService.BeginMailLogin", "anyone may call it for any address; the sign-in has an entry"),
    ("AuthService.BeginPasskeyLogin", "it stores nothing; the sign-in has an entry"),
    ("AuthService.BeginPasskeyReauthentication", "it stores nothing; the proof has an entry"),
    ("AuthService.FindSignInProvider", "it reads by an address, which a URL must not have"),
    ("AuthService.Logout", "a session that its user ends is no act on others"),
    ("AuthService.Refresh", "it continues a session, every few minutes, and changes no resource"),
    ("AuthService.Register", "anyone may call it for any address; the confirmation has an entry"),
    ("AuthService.RequestPasswordReset", "anyone may call it for any address; the confirmation has an entry"),
    ("AuthService.SwitchAccount", "it continues a session in another account of its user, and changes no resource"),
    ("InvitationService.PreviewInvitation", "it reads an invitation by its token, which a URL must not have"),
    ("PasskeyService.EnrollPasskey", "it stores nothing; the confirmation has an entry"),
    ("WebhookEndpointService.TestWebhookEndpoint", "it sends a test event and stores nothing"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_method_that_writes_adds_an_entry() {
    let app = TestApp::start().await;
    let (mut faults, mut checked) = (Vec::new(), 0);
    for method in methods().into_iter().filter(|method| method.effect == Effect::Write && !method.watch) {
        let count = format!("SELECT count(*) FROM audit_entries WHERE method = '{}'", method.name);
        let case = cases::good_case(&method.name);
        let call = (case.call)(Scene::new(&app).await).await;
        let before = app.database.number(&count).await;
        call.send(Protocol::Grpc, case.method).await.success();
        let added = app.database.number(&count).await - before;
        let is_exempt = WITHOUT.iter().any(|(name, _)| *name == method.name);
        if (added == 0) != is_exempt {
            faults.push(format!("{} adds {added} entries", method.name));
        }
        checked += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 50, "only {checked} methods write");
    // What each entry names.
    let vague = "SELECT count(*) FROM audit_entries WHERE resource_kind = '' OR (request_id IS NULL AND actor_kind <> 5) \
                 OR (actor_id IS NULL AND actor_kind IN (2, 3, 4)) OR (personal IS NULL AND actor_kind <> 5)";
    assert_eq!(app.database.number(vague).await, 0, "{:?}", app.database.sql("SELECT * FROM audit_entries").await);
}

/// Methods that change a resource, and whose entries have no value before, with the reasons.
const WITHOUT_BEFORE: [(&str, &str); 14] = [
    ("DeletionService.CancelDeletion", "its state before is always the same"),
    ("DeletionService.CancelDeletionByToken", "its state before is always the same"),
    ("LinkedIdentityService.DeleteLinkedIdentity", "the entry is about the user, with the removal as a fact"),
    ("OauthConsentService.DeleteOauthConsent", "the entry is about the application, with the withdrawal as a fact"),
    ("OperationService.CancelOperation", "its state before is always the same"),
    ("PasskeyService.RemovePasskey", "the entry is about the user, with the removal as a fact"),
    ("SecondFactorService.RemoveTotp", "the entry is about the user, with the removal as a fact"),
    ("ServiceKeyService.RevokeServiceKey", "the time of the revocation is new"),
    ("SessionService.RevokeAllSessions", "sessions have an id only"),
    ("SessionService.RevokeAllUserSessions", "sessions have an id only"),
    ("SessionService.RevokeSession", "sessions have an id only"),
    ("SessionService.RevokeUserSession", "sessions have an id only"),
    ("SubscriptionService.CancelSubscription", "the cancellation that is pending is new"),
    ("UserService.SetUserAvatar", "the case adds the first one"),
];

/// Otherwise an auditor reads what a role is, and not what it was, or that a member is gone, and not who it was.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_resource_has_values_before() {
    let app = TestApp::start().await;
    let (mut faults, mut checked, mut exempt) = (Vec::new(), 0, 0);
    let changes = ["Update", "Set", "Transfer", "Cancel", "Remove", "Leave", "Revoke", "Delete"];
    for method in methods().into_iter().filter(|method| method.effect == Effect::Write) {
        let (_, name) = method.name.split_once('.').expect("a service");
        if !changes.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let case = cases::good_case(&method.name);
        let call = (case.call)(Scene::new(&app).await).await;
        call.send(Protocol::Grpc, case.method).await.success();
        let with_before = format!(
            "SELECT count(*) FROM audit_entries WHERE method = '{}' AND (changes::text LIKE '%\"before\"%' \
             OR personal::text LIKE '%\"before\"%')",
            method.name
        );
        let has_before = app.database.number(&with_before).await > 0;
        let is_exempt = WITHOUT_BEFORE.iter().any(|(exempt, _)| *exempt == method.name);
        if has_before == is_exempt {
            faults.push(format!("{}: {has_before}", method.name));
        }
        checked += 1;
        exempt += usize::from(is_exempt);
    }
    assert_eq!(exempt, WITHOUT_BEFORE.len(), "an exemption names no method that changes a resource");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 20, "only {checked} methods change a resource");
}

/// The responses and requests of the cases have tokens, keys and passwords.
#[tokio::test(flavor = "multi_thread")]
async fn no_entry_has_a_secret() {
    let app = TestApp::start().await;
    let mut secrets = Vec::new();
    for name in [
        "ServiceKeyService.CreateServiceKey",
        "OauthClientService.CreateOauthClient",
        "WebhookEndpointService.CreateWebhookEndpoint",
        "AuthService.Login",
        "ImpersonationService.StartImpersonation",
    ] {
        let case = cases::good_case(name);
        let call = (case.call)(Scene::new(&app).await).await;
        let response = call.send(Protocol::Rest, case.method).await.success();
        let pointers = ["/secret", "/accessToken", "/data/accessToken", "/data/refreshToken", "/data/deviceToken"];
        secrets
            .extend(pointers.iter().filter_map(|pointer| Some(response.body.pointer(pointer)?.as_str()?.to_owned())));
    }
    assert!(secrets.len() >= 5, "{secrets:?}");
    let rows = app.database.sql("SELECT changes::text, personal::text FROM audit_entries").await;
    let all = format!("{rows:?}");
    assert!(rows.len() >= 4, "{all}");
    for secret in secrets {
        assert!(!all.contains(&secret), "{secret}");
    }
}
