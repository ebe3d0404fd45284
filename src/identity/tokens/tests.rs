use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mainstay_kernel::{
    caller::{Caller, Means, SignIn},
    clock::Clock,
    config::Source,
    contract::policy::{self, BuiltInRole, Scope},
    error::{Error, Reason},
    id::AccountId,
    secret::SecretKey,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::identity::{
    config::IdentityConfig,
    credential::model::RefreshClaim,
    member::model::{Member, MemberRole},
    oauth_client::id::OauthClientId,
    revocation::model::SubjectVersion,
    role::{id::RoleId, model::Granted},
    session::model::{Device, Grant, Method, Proof, Session, SessionLife},
    signing_key::{
        keys::{KeyRing, SealedKey},
        model::Life,
    },
    tokens::{
        claims::{Claims, TYPE},
        *,
    },
    user::model::{EmailAddress, Role, User},
};

const LIFE: SessionLife = SessionLife { unused: TimeDelta::days(30), whole: TimeDelta::days(90) };

struct Fixture {
    tokens: Tokens,
    clock: Clock,
    user: User,
    member: Member,
    session: Session,
    sealed: SealedKey,
}

/// Tokens of a server with this secret.
fn tokens(secret: SecretKey, clock: Clock) -> Tokens {
    let modules = crate::product().modules().expect("they fit together");
    let config = modules.config(Source::of([("TOKEN_ISSUER", "here")])).expect("a configuration");
    Tokens::new(config.section::<IdentityConfig>(), &modules.contract.policies, secret, clock)
}

fn fixture() -> Fixture {
    let (clock, secret) = (Clock::default(), SecretKey::new([1; 32]));
    let now = clock.now();
    let tokens = tokens(secret.clone(), clock.clone());
    let sealed = SealedKey::generate(&secret, Life::begin(now, true)).expect("a key");
    tokens.install(KeyRing::open(vec![sealed.clone()], &secret).expect("a ring"));
    let user = User::new(EmailAddress::parse("a@b.example").expect("one"), "A".into(), Role::Agent, now);
    let member = Member::new(AccountId::generate(now), user.id, MemberRole::OWNER, now);
    let session = Session::begin(user.id, 0, Device::default(), now, LIFE);
    Fixture { tokens, clock, user, member, session, sealed }
}

impl Fixture {
    fn access(&self) -> String {
        self.access_of(&Granted::BuiltIn(BuiltInRole::Agent))
    }

    fn access_of(&self, granted: &Granted) -> String {
        self.pair(granted).access.expose_secret().to_owned()
    }

    fn pair(&self, granted: &Granted) -> Pair {
        self.tokens
            .issue(&self.user, Some(&self.member), granted, &self.session)
            .expect("no fault")
            .expect("a key signs")
    }

    /// Makes a token like a genuine one, with another header or other claims, signed by the real key.
    fn forge(&self, header: impl FnOnce(&mut Header), claims: impl FnOnce(&mut Claims)) -> String {
        let ring = self.tokens.ring();
        let key = ring.signing(self.clock.now()).expect("signs");
        let now = self.clock.now().timestamp();
        let mut ours = Claims {
            iss: "here".into(),
            aud: "here".into(),
            sub: self.user.id.0,
            acct: Some(self.member.account.0),
            mid: Some(self.member.id.0),
            mver: Some(1),
            role: "admin".into(),
            arole: None,
            client_id: None,
            scope: None,
            rid: None,
            rver: None,
            sid: self.session.id.0,
            epoch: 0,
            jti: "1".into(),
            iat: now,
            exp: now + 60,
            auth_time: now,
            amr: Vec::new(),
            needs_second_factor: false,
            confined: false,
            act: None,
            secret: None,
        };
        claims(&mut ours);
        let mut head = Header::new(Algorithm::EdDSA);
        head.typ = Some(TYPE.into());
        head.kid = Some(key.id().into());
        header(&mut head);
        jsonwebtoken::encode(&head, &ours, key.signing().expect("signs")).expect("encodes")
    }
}

fn part(value: serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn a_token_identifies_the_caller() {
    let fixture = fixture();
    let access = fixture.tokens.verify(&fixture.access()).expect("good");
    let (id, account) = (fixture.user.id, Some(fixture.member.account));
    let (role, session) = (policy::Role::Agent, fixture.session.id);
    let scopes = fixture.tokens.0.policies.scopes_of(BuiltInRole::Agent);
    assert!(scopes.contains(&"support.tickets.write".into()) && !scopes.contains(&"payments.refunds.create".into()));
    let sign_in = SignIn::at(DateTime::from_timestamp(fixture.session.created_at.timestamp(), 0).expect("a time"));
    assert_eq!(access.caller, Caller::User { id, account, role, session, scopes, sign_in });
    assert_eq!(access.claims.member, Some(SubjectVersion::new(fixture.member.id.0, 1)));
    assert!(fixture.tokens.verify(&fixture.forge(|_| {}, |_| {})).is_ok(), "the forger's base is good");
}

fn custom(scopes: &[&str]) -> Granted {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Granted::Custom { id: RoleId(Uuid::from_u128(7)), version: 3, scopes }
}

#[test]
fn a_token_of_a_custom_role_has_its_scopes_and_its_version() {
    let mut fixture = fixture();
    let scopes = |fixture: &Fixture, scopes: &[&str]| {
        let access = fixture.tokens.verify(&fixture.access_of(&custom(scopes))).expect("good");
        assert_eq!(access.claims.role, Some(SubjectVersion { subject: Uuid::from_u128(7), number: 3 }));
        access.caller.scopes().iter().map(Scope::to_string).collect::<Vec<_>>()
    };
    let both = ["payments.refunds.create", "support.tickets.read"];
    assert_eq!(scopes(&fixture, &both), both);
    assert_eq!(scopes(&fixture, &["support.everything", both[1]]), [both[1]], "an undeclared scope grants nothing");
    fixture.user.role = Role::Customer;
    assert_eq!(scopes(&fixture, &both), [both[1]], "a role of an account has no scope of the staff");
    let role = |role| fixture.tokens.verify(&fixture.access_of(&Granted::BuiltIn(role))).expect("good");
    let viewer = role(BuiltInRole::Viewer).caller;
    assert_eq!(viewer.scopes(), &*fixture.tokens.0.policies.scopes_of(BuiltInRole::Viewer));
    let without = fixture.forge(|_| {}, |claims| claims.role = "customer".into());
    assert_eq!(fixture.tokens.verify(&without), Err(TokenError::Forged), "a member without a role");
}

#[test]
fn an_application_has_at_most_what_the_user_has_and_has_agreed_to() {
    let mut fixture = fixture();
    let client = OauthClientId(Uuid::from_u128(8));
    let scopes = ["openid", "support.tickets.read", "payments.refunds.create"].map(str::to_owned).to_vec();
    fixture.session.grant = Some(Grant { client, scopes });
    let read = |granted: &Granted| {
        let access = fixture.tokens.verify(&fixture.access_of(granted)).expect("good");
        let Caller::User { scopes, sign_in, .. } = access.caller else { panic!("a user") };
        assert_eq!(sign_in.means, Means::Application(client.0));
        scopes.iter().map(Scope::to_string).collect::<Vec<_>>()
    };
    assert_eq!(read(&Granted::BuiltIn(BuiltInRole::Agent)), ["support.tickets.read"]);
    assert_eq!(read(&custom(&["payments.refunds.create", "support.tickets.write"])), ["payments.refunds.create"]);
    assert!(read(&Granted::UntilSecondFactor).is_empty() && read(&Granted::Nothing).is_empty());
    let widened = fixture.forge(
        |_| {},
        |claims| {
            (claims.role, claims.client_id) = ("agent".into(), Some(client.0));
            claims.scope = Some("support.tickets.read payments.refunds.create".into());
        },
    );
    let access = fixture.tokens.verify(&widened).expect("good");
    assert_eq!(access.caller.scopes(), ["support.tickets.read".into()], "the role bounds the token, too");
    let without = fixture.forge(|_| {}, |claims| claims.scope = Some("support.tickets.read".into()));
    assert_eq!(fixture.tokens.verify(&without), Err(TokenError::Forged), "only an application narrows a role");
}

#[test]
fn an_id_token_is_no_access_token() {
    let mut fixture = fixture();
    fixture.session.grant =
        Some(Grant { client: OauthClientId(Uuid::from_u128(8)), scopes: vec!["openid".to_owned()] });
    let token = fixture.tokens.identify("here", &fixture.session, Some("n")).expect("no fault").expect("a key signs");
    assert_eq!(fixture.tokens.verify(token.expose_secret()), Err(TokenError::Forged));
}

/// A person signs out hours after the application got the token.
#[test]
fn an_id_token_names_its_client_after_its_end() {
    let mut fixture = fixture();
    let client = OauthClientId(Uuid::from_u128(8));
    fixture.session.grant = Some(Grant { client, scopes: vec!["openid".to_owned()] });
    let issued = fixture.tokens.identify("https://id.example", &fixture.session, None);
    let token = issued.expect("no fault").expect("a key signs").expose_secret().to_owned();
    fixture.clock.advance(TimeDelta::hours(1));
    assert_eq!(fixture.tokens.client_of("https://id.example", &token), Ok(client));
    assert_eq!(fixture.tokens.client_of("https://evil.example", &token), Err(TokenError::Forged));
    assert_eq!(fixture.tokens.client_of("here", &fixture.access()), Err(TokenError::Forged), "an access token");
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let other = URL_SAFE_NO_PAD.encode(format!("{{\"iss\":\"https://id.example\",\"aud\":\"{}\"}}", Uuid::nil()));
    let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\",\"typ\":\"JWT\"}");
    for forged in [format!("{header}.{other}.{signature}"), format!("{none}.{payload}."), String::new()] {
        assert_eq!(fixture.tokens.client_of("https://id.example", &forged), Err(TokenError::Forged), "{forged}");
    }
}

#[test]
fn a_token_without_the_required_second_factor_has_no_scope() {
    let fixture = fixture();
    let access = fixture.tokens.verify(&fixture.access_of(&Granted::UntilSecondFactor)).expect("good");
    assert!(access.caller.scopes().is_empty());
    assert!(matches!(access.caller, Caller::User { sign_in, .. } if sign_in.needs_second_factor));
}

#[test]
fn the_token_of_a_client_is_that_of_a_service() {
    let fixture = fixture();
    let service = |secret: Option<&str>, account: Option<Uuid>| {
        let token = fixture.forge(
            |_| {},
            |claims| {
                (claims.role, claims.scope) =
                    ("service".into(), Some("support.tickets.read identity.oauth_clients.manage".into()));
                (claims.acct, claims.mid, claims.mver) = (account, None, None);
                claims.secret = secret.map(str::to_owned);
            },
        );
        fixture.tokens.verify(&token)
    };
    let platform = service(Some("0011223344556677"), None).expect("good");
    assert!(matches!(platform.caller, Caller::Service { account: None, .. }) && platform.caller.scopes().len() == 2);
    assert_eq!(platform.secret, Some([0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]));
    let of_account = service(Some("0011223344556677"), Some(Uuid::from_u128(3))).expect("good");
    assert_eq!(of_account.caller.scopes().len(), 1, "what is of the staff is never granted for an account");
    for secret in [None, Some("00"), Some("not hexadecimal!")] {
        assert_eq!(service(secret, None), Err(TokenError::Forged), "{secret:?}");
    }
}

#[test]
fn a_token_says_when_and_how_its_user_was_authenticated() {
    let mut fixture = fixture();
    let first = fixture.access();
    fixture.clock.advance(TimeDelta::minutes(4));
    let later = fixture.clock.now();
    let proof = Proof { at: later, method: Method::Password, has_second_factor: true };
    fixture.session = fixture.session.clone().renew(proof);
    let renewed = fixture.access();
    assert_ne!(first, renewed);
    let access = fixture.tokens.verify(&renewed).expect("good");
    assert_eq!(access.expires_at.timestamp(), (later + fixture.tokens.life()).timestamp());
    assert!(matches!(access.caller, Caller::User { sign_in, .. } if sign_in.at.timestamp() == later.timestamp()));
    let claims = URL_SAFE_NO_PAD.decode(renewed.split('.').nth(1).expect("claims")).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(
        (&claims["auth_time"], &claims["amr"]),
        (&later.timestamp().into(), &serde_json::json!(["pwd", "otp", "mfa"]))
    );
}

#[test]
fn the_longest_role_fits_into_a_token() {
    let fixture = fixture();
    let names: Vec<_> = (0..50).map(|number| format!("{number:0>100}")).collect();
    let token = fixture.access_of(&custom(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(fixture.tokens.verify(&token).is_ok(), "{} bytes", token.len());
}

#[test]
fn a_later_version_of_a_role_is_looked_up() {
    let fixture = fixture();
    let token = fixture.access_of(&custom(&["support.tickets.read"]));
    let access = fixture.tokens.verify(&token).expect("good");
    fixture.tokens.insert_verified(&token, access);
    assert!(fixture.tokens.get_verified(&token, None).is_some());
    fixture.tokens.invalidate_role(RoleId(Uuid::from_u128(7)));
    assert!(fixture.tokens.get_verified(&token, None).is_none());
}

#[test]
fn a_token_names_an_account_only_with_the_membership() {
    let fixture = fixture();
    let customer = User { role: Role::Customer, ..fixture.user.clone() };
    let pair = fixture.tokens.issue(&customer, None, &Granted::Nothing, &fixture.session);
    let pair = pair.expect("no fault").expect("a key signs");
    let access = fixture.tokens.verify(pair.access.expose_secret()).expect("good");
    assert!(matches!(&access.caller, Caller::User { account: None, scopes, .. } if scopes.is_empty()));
    assert_eq!(access.claims.member, None);
    let partial = fixture.forge(|_| {}, |claims| claims.mid = None);
    assert_eq!(fixture.tokens.verify(&partial), Err(TokenError::Expired), "the client exchanges it");
}

#[test]
fn concurrent_refreshes_get_the_same_pair() {
    let fixture = fixture();
    let pair = || fixture.pair(&Granted::BuiltIn(BuiltInRole::Agent));
    let (first, again) = (pair(), pair());
    assert_eq!(first.access.expose_secret(), again.access.expose_secret());
    assert_eq!(first.refresh.expose_secret(), again.refresh.expose_secret());
}

#[test]
fn a_token_ends_at_its_expiry() {
    let fixture = fixture();
    let token = fixture.access();
    fixture.clock.advance(TimeDelta::minutes(5) - TimeDelta::seconds(2));
    assert!(fixture.tokens.verify(&token).is_ok());
    fixture.clock.advance(TimeDelta::seconds(2));
    assert_eq!(fixture.tokens.verify(&token), Err(TokenError::Expired));
}

/// A key that has leaked verifies nothing once its last tokens have expired.
#[test]
fn a_retired_key_verifies_nothing_and_is_not_published() {
    let fixture = fixture();
    let now = fixture.clock.now();
    let forged = fixture.forge(|_| {}, |claims| claims.exp = (now + TimeDelta::days(1)).timestamp());
    let mut sealed = fixture.sealed.clone();
    sealed.life.retired_at = Some(now);
    fixture.tokens.install(KeyRing::open(vec![sealed], fixture.tokens.secret()).expect("a ring"));
    assert!(fixture.tokens.verify(&forged).is_ok());
    fixture.clock.advance(fixture.tokens.life() + TimeDelta::seconds(61));
    assert_eq!(fixture.tokens.verify(&forged), Err(TokenError::UnknownKey));
    assert_eq!(fixture.tokens.jwks()["keys"], serde_json::json!([]));
}

#[test]
fn wrong_claims_are_refused() {
    let fixture = fixture();
    let verify = |claims: fn(&mut Claims)| fixture.tokens.verify(&fixture.forge(|_| {}, claims));
    assert_eq!(verify(|claims| claims.aud = "elsewhere".into()), Err(TokenError::Forged));
    assert_eq!(verify(|claims| claims.iss = "elsewhere".into()), Err(TokenError::Forged));
    assert_eq!(verify(|claims| claims.role = "service".into()), Err(TokenError::Forged));
    assert_eq!(verify(|claims| claims.exp = i64::MAX), Err(TokenError::Forged));
    assert_eq!(verify(|claims| claims.exp -= 100), Err(TokenError::Expired));
    let unknown = |claims: &mut Claims| (claims.role, claims.arole) = ("customer".into(), Some("chief".into()));
    assert_eq!(verify(unknown), Err(TokenError::Forged));
    assert_eq!(verify(|claims| claims.scope = Some("orders.read".into())), Err(TokenError::Forged), "a part of a role");
}

#[test]
fn wrong_headers_are_refused() {
    let fixture = fixture();
    let verify = |header: fn(&mut Header)| fixture.tokens.verify(&fixture.forge(header, |_| {}));
    assert_eq!(verify(|header| header.typ = Some("JWT".into())), Err(TokenError::Forged));
    assert_eq!(verify(|header| header.kid = None), Err(TokenError::Forged));
    assert_eq!(verify(|header| header.kid = Some("other".into())), Err(TokenError::UnknownKey));
}

#[test]
fn no_algorithm_and_key_confusion_are_refused() {
    let fixture = fixture();
    let good = fixture.access();
    let claims = good.split('.').nth(1).expect("claims");
    for alg in ["none", "None", "HS256", "ES256", "EdDSA"] {
        let head = part(serde_json::json!({ "alg": alg, "typ": TYPE, "kid": fixture.sealed.id }));
        for signature in ["", "AAAA"] {
            assert_eq!(
                fixture.tokens.verify(&format!("{head}.{claims}.{signature}")),
                Err(TokenError::Forged),
                "{alg}"
            );
        }
    }
    // The public key, used as the secret of an HMAC: the classic confusion of algorithms.
    let mut head = Header::new(Algorithm::HS256);
    head.typ = Some(TYPE.into());
    head.kid = Some(fixture.sealed.id.clone());
    let body: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    let confused = jsonwebtoken::encode(&head, &body, &EncodingKey::from_secret(&fixture.sealed.public_key));
    assert_eq!(fixture.tokens.verify(&confused.expect("encodes")), Err(TokenError::Forged));
}

#[test]
fn a_changed_token_is_refused() {
    let fixture = fixture();
    let good = fixture.access();
    for place in [0, good.len() / 2, good.len() - 2] {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(
            fixture.tokens.verify(&String::from_utf8(bytes).expect("ASCII")),
            Err(TokenError::Forged),
            "{place}"
        );
    }
    for bad in ["", ".", "..", "a.b.c", &format!("{good}.x"), &good.repeat(20)] {
        assert_eq!(fixture.tokens.verify(bad), Err(TokenError::Forged), "{bad}");
    }
}

#[test]
fn a_cached_token_is_checked_again_after_a_while() {
    let fixture = fixture();
    let token = fixture.access();
    let access = fixture.tokens.verify(&token).expect("good");
    assert!(fixture.tokens.get_verified(&token, None).is_none());
    fixture.tokens.insert_verified(&token, access.clone());
    assert_eq!(fixture.tokens.get_verified(&token, None), Some(access.caller.clone()));
    fixture.clock.advance(TimeDelta::seconds(21));
    let hits: Vec<_> = (0..3).map(|_| fixture.tokens.get_verified(&token, None).is_some()).collect();
    assert_eq!(hits, [false, true, true], "one looks again, the others go on");
    fixture.clock.advance(TimeDelta::seconds(10));
    assert!(fixture.tokens.get_verified(&token, None).is_none());
    fixture.tokens.insert_verified(&token, access);
    fixture.tokens.invalidate_user(fixture.user.id);
    assert!(fixture.tokens.get_verified(&token, None).is_none());
}

#[test]
fn a_cached_token_expires() {
    let fixture = fixture();
    let token = fixture.access();
    let access = fixture.tokens.verify(&token).expect("good");
    fixture.clock.advance(TimeDelta::minutes(5) - TimeDelta::seconds(2));
    fixture.tokens.insert_verified(&token, access);
    assert!(fixture.tokens.get_verified(&token, None).is_some());
    fixture.clock.advance(TimeDelta::seconds(2));
    assert!(fixture.tokens.get_verified(&token, None).is_none());
}

#[test]
fn a_refresh_token_of_another_secret_is_none() {
    let fixture = fixture();
    let pair = fixture.pair(&Granted::BuiltIn(BuiltInRole::Agent));
    let token = pair.refresh.expose_secret();
    let claim = RefreshClaim { user: fixture.user.id, session: fixture.session.id, generation: 1 };
    assert_eq!(fixture.tokens.read_refresh(token), Some(claim));
    let other = tokens(SecretKey::new([2; 32]), fixture.clock.clone());
    assert_eq!(other.read_refresh(token), None);
    assert_eq!(fixture.tokens.read_refresh(&format!("{token}A")), None);
}

#[tokio::test]
async fn an_unknown_key_reloads_the_ring_once_for_all_waiters() {
    let (tokens, reloads) = (fixture().tokens, AtomicUsize::new(0));
    let reload = async || {
        tokens
            .reload_for_unknown_key(async {
                reloads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(())
            })
            .await
    };
    let (first, second) = tokio::join!(reload(), reload());
    assert!(first.is_ok() && second.is_ok());
    reload().await.expect("nothing to do");
    assert_eq!(reloads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reload_whose_caller_has_gone_is_started_again() {
    let tokens = fixture().tokens;
    let reload = tokens.reload_for_unknown_key(std::future::pending());
    tokio::time::timeout(Duration::from_millis(10), reload).await.expect_err("it hangs");
    let reloaded = AtomicUsize::new(0);
    let again = async {
        reloaded.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    tokens.reload_for_unknown_key(again).await.expect("reloaded");
    assert_eq!(reloaded.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_not_refused_because_the_keys_could_not_be_read() {
    let tokens = fixture().tokens;
    for reload in [Err(Error::unavailable(std::io::Error::other("away"))), Ok(())] {
        let error = tokens.reload_for_unknown_key(async { reload }).await.expect_err("the keys may have changed");
        assert_eq!(error.reason(), Reason::Unavailable);
    }
}
