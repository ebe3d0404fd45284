use std::sync::atomic::{AtomicUsize, Ordering};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use mainstay_kernel::config::Source;
use secrecy::ExposeSecret as _;

use crate::identity::{
    session::model::{Device, SessionLife},
    signing_key::{keys::SealedKey, model::Life},
    tokens::*,
    user::model::EmailAddress,
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

fn config() -> IdentityConfig {
    let source = Source::of([("TOKEN_ISSUER", "here")]);
    let config = crate::product().modules().expect("they fit together").config(source);
    config.expect("a configuration").section::<IdentityConfig>().clone()
}

fn fixture() -> Fixture {
    let (clock, secret) = (Clock::default(), SecretKey::new([1; 32]));
    let now = clock.now();
    let tokens = Tokens::new(&config(), secret.clone(), clock.clone());
    let sealed = SealedKey::generate(&secret, Life::begin(now, true)).expect("a key");
    tokens.install(KeyRing::open(vec![sealed.clone()], &secret).expect("a ring"));
    let user = User::new(EmailAddress::parse("a@b.example").expect("one"), "A".into(), Role::Agent, now);
    let member = Member::new(AccountId::generate(now), user.id, MemberRole::OWNER, now);
    let session = Session::begin(user.id, 0, Device::default(), now, LIFE);
    Fixture { tokens, clock, user, member, session, sealed }
}

impl Fixture {
    fn access(&self) -> String {
        let pair =
            self.tokens.issue(&self.user, Some(&self.member), &self.session).expect("no fault").expect("a key signs");
        pair.access.expose_secret().to_owned()
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
            arole: Some("owner".into()),
            role: "admin".into(),
            sid: self.session.id.0,
            epoch: 0,
            jti: "1".into(),
            iat: now,
            exp: now + 60,
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
    assert_eq!(access.caller, Caller::User { id, account, role: policy::Role::Agent, session: fixture.session.id });
    assert_eq!(access.member, Some(MemberVersion { id: fixture.member.id, version: 1 }));
    assert!(fixture.tokens.verify(&fixture.forge(|_| {}, |_| {})).is_ok(), "the forger's base is good");
}

#[test]
fn a_token_names_an_account_only_with_the_membership() {
    let fixture = fixture();
    let pair = fixture.tokens.issue(&fixture.user, None, &fixture.session).expect("no fault").expect("a key signs");
    let access = fixture.tokens.verify(pair.access.expose_secret()).expect("good");
    assert!(matches!(access.caller, Caller::User { account: None, .. }) && access.member.is_none());
    let partial = fixture.forge(|_| {}, |claims| claims.mid = None);
    assert_eq!(fixture.tokens.verify(&partial), Err(TokenError::Expired), "the client exchanges it");
}

#[test]
fn concurrent_refreshes_get_the_same_pair() {
    let fixture = fixture();
    let pair = || {
        fixture
            .tokens
            .issue(&fixture.user, Some(&fixture.member), &fixture.session)
            .expect("no fault")
            .expect("a key signs")
    };
    let (first, again) = (pair(), pair());
    assert_eq!(first.access.expose_secret(), again.access.expose_secret());
    assert_eq!(first.refresh.expose_secret(), again.refresh.expose_secret());
}

#[test]
fn a_token_expires_with_little_leeway() {
    let fixture = fixture();
    let token = fixture.access();
    fixture.clock.advance(TimeDelta::minutes(5) + TimeDelta::seconds(3));
    assert!(fixture.tokens.verify(&token).is_ok());
    fixture.clock.advance(TimeDelta::seconds(3));
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
    for bad in ["", ".", "..", "a.b.c", &format!("{good}.x"), &good.repeat(5)] {
        assert_eq!(fixture.tokens.verify(bad), Err(TokenError::Forged), "{bad}");
    }
}

#[test]
fn a_cached_token_is_checked_again_after_a_while() {
    let fixture = fixture();
    let token = fixture.access();
    let access = fixture.tokens.verify(&token).expect("good");
    assert!(fixture.tokens.get_verified(&token).is_none());
    fixture.tokens.insert_verified(&token, access.clone());
    assert_eq!(fixture.tokens.get_verified(&token), Some(access.caller.clone()));
    fixture.clock.advance(TimeDelta::seconds(21));
    let hits: Vec<_> = (0..3).map(|_| fixture.tokens.get_verified(&token).is_some()).collect();
    assert_eq!(hits, [false, true, true], "one looks again, the others go on");
    fixture.clock.advance(TimeDelta::seconds(10));
    assert!(fixture.tokens.get_verified(&token).is_none());
    fixture.tokens.insert_verified(&token, access);
    fixture.tokens.invalidate_user(fixture.user.id);
    assert!(fixture.tokens.get_verified(&token).is_none());
}

#[test]
fn a_cached_token_expires() {
    let fixture = fixture();
    let token = fixture.access();
    let access = fixture.tokens.verify(&token).expect("good");
    fixture.clock.advance(TimeDelta::minutes(5));
    fixture.tokens.insert_verified(&token, access);
    assert!(fixture.tokens.get_verified(&token).is_some());
    fixture.clock.advance(TimeDelta::seconds(6));
    assert!(fixture.tokens.get_verified(&token).is_none());
}

#[test]
fn a_refresh_token_of_another_secret_is_none() {
    let fixture = fixture();
    let pair = fixture
        .tokens
        .issue(&fixture.user, Some(&fixture.member), &fixture.session)
        .expect("no fault")
        .expect("a key signs");
    let token = pair.refresh.expose_secret();
    let claim = RefreshClaim { user: fixture.user.id, session: fixture.session.id, generation: 1 };
    assert_eq!(fixture.tokens.read_refresh(token), Some(claim));
    let other = Tokens::new(&config(), SecretKey::new([2; 32]), fixture.clock.clone());
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
