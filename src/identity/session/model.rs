//! Sessions, each of a user on a device, and the effect of refreshes on them.
//!
//! A refresh token names its session and a generation. The session stores the current generation and its start time.
//! These suffice to distinguish a valid token, the token of a concurrent refresh, and a stolen token.

use crate::identity::{
    account_provider::id::AccountProviderId,
    member::{id::MemberId, model::Member},
    oauth_client::id::OauthClientId,
    role::limits::SessionLimits,
};
use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
    numbered::numbered,
};

/// How long after a rotation the previous token still yields the same successor, for concurrent refreshes of one
/// client, or for the retry of a refresh whose response was lost.
pub const GRACE: TimeDelta = TimeDelta::seconds(10);

/// The maximum number of sessions per user; beyond it, the least recently refreshed one is dropped.
pub const MAX_PER_USER: i64 = 100;

/// The maximum number of sessions of one application with one user; beyond it, the least recently refreshed one is dropped.
pub const MAX_PER_CLIENT: i64 = 20;

const MAX_USER_AGENT_CHARS: usize = 200;

/// The lifetime of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLife {
    /// The maximum time between refreshes.
    pub unused: TimeDelta,
    /// The maximum total time, regardless of refreshes.
    pub whole: TimeDelta,
}

impl SessionLife {
    /// Returns the lifetime that neither of two exceeds.
    #[must_use]
    pub fn shortest(self, other: Self) -> Self {
        Self { unused: self.unused.min(other.unused), whole: self.whole.min(other.whole) }
    }

    /// Returns when a session that began at `begun_at` ends unless it is refreshed after `now`.
    fn end(self, begun_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.unused).min(begun_at + self.whole)
    }
}

/// The device that signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The User-Agent, truncated to 200 characters.
    pub user_agent: String,
    /// The address; empty if unknown.
    pub address: String,
}

impl Device {
    /// Creates a device from what the client sent.
    pub fn new(user_agent: &str, address: String) -> Self {
        let printable = user_agent.chars().filter(|character| !character.is_control());
        Self { user_agent: printable.take(MAX_USER_AGENT_CHARS).collect(), address }
    }
}

/// The account of a session. It ends with this membership, also if the user becomes a member again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionAccount {
    pub account: AccountId,
    pub member: MemberId,
}

impl From<&Member> for SessionAccount {
    fn from(member: &Member) -> Self {
        Self { account: member.account, member: member.id }
    }
}

numbered! {
    /// The first proof of who a user is.
    Method {
        /// The password.
        Password = 1,
        /// A sign-in provider.
        Provider = 2,
        /// A passkey, after a verification of the user: a second factor, too.
        Passkey = 3,
        /// A link or a code from a mail.
        Mail = 4,
    }
}

/// The proofs of who a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// When the user gave the latest of them; [`UNIX_EPOCH`](DateTime::UNIX_EPOCH) if that is unknown, which is never recent.
    pub at: DateTime<Utc>,
    pub method: Method,
    pub has_second_factor: bool,
}

impl Proof {
    /// The password alone.
    pub fn password(at: DateTime<Utc>) -> Self {
        Self { at, method: Method::Password, has_second_factor: false }
    }

    /// A link or a code from a mail.
    pub fn mail(at: DateTime<Utc>) -> Self {
        Self { at, method: Method::Mail, has_second_factor: false }
    }

    /// A passkey.
    pub fn passkey(at: DateTime<Utc>) -> Self {
        Self { at, method: Method::Passkey, has_second_factor: true }
    }
}

/// What a user has given an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub client: OauthClientId,
    /// The scopes, of OpenID Connect and of the contract. A token has those of the latter that the user has.
    pub scopes: Vec<String>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// The user's epoch at the sign-in; the session is void once the user has a later one.
    pub epoch: i32,
    /// The generation of the valid refresh token.
    pub generation: u32,
    /// The account whose data the session reaches; `None` if the user is a member of none.
    pub account: Option<SessionAccount>,
    /// The provider of the account with which the session began. The session opens this account alone.
    pub provider: Option<AccountProviderId>,
    /// When the user last proved who they are.
    pub authenticated_at: DateTime<Utc>,
    /// How the user last did so.
    pub method: Method,
    /// Whether the user has proved a second factor.
    pub has_second_factor: bool,
    /// The device that signed in.
    pub device: Device,
    /// The application for which the session is; `None` for a sign-in of the user.
    pub grant: Option<Grant>,
    /// When the session began.
    pub created_at: DateTime<Utc>,
    /// When the current generation was issued.
    pub refreshed_at: DateTime<Utc>,
    /// When the user last signed in or authenticated again, also with a provider that does not say when it authenticated the user.
    pub proved_at: DateTime<Utc>,
    /// The longest time between two uses since then, in seconds. An account with a shorter limit is thus closed to a session that
    /// was used in another account since.
    pub longest_pause_seconds: i32,
    /// When the session expires for every account unless it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// Whether the session was ended. An ended session is kept until it would have expired, so that ending it again
    /// changes nothing.
    pub ended: bool,
}

/// The result of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// The session to store; its token is the response.
    Rotated(Session),
    /// A concurrent refresh was faster; its token is the response, and nothing is stored.
    Again(Session),
    /// The token was used before, so it was probably stolen.
    Reused,
    /// The session has ended.
    Over,
}

impl Session {
    /// Begins a session of a user who has just proved the password.
    pub fn begin(user: UserId, epoch: i32, device: Device, now: DateTime<Utc>, life: SessionLife) -> Self {
        Self {
            id: SessionId::generate(now),
            user,
            epoch,
            generation: 1,
            account: None,
            provider: None,
            authenticated_at: now,
            method: Method::Password,
            has_second_factor: false,
            device,
            grant: None,
            created_at: now,
            refreshed_at: now,
            proved_at: now,
            longest_pause_seconds: 0,
            expires_at: life.end(now, now),
            ended: false,
        }
    }

    /// Returns whether the session can still be refreshed, regardless of the user's epoch.
    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        !self.ended && now < self.expires_at
    }

    /// Checks that the session continues in a membership with these limits. The present lifetimes apply, regardless of the start of
    /// the session.
    ///
    /// # Errors
    /// `SESSION_REVOKED` if it has ended for every account; `REAUTHENTICATION_REQUIRED` if the user must prove again who they are.
    pub fn check(&self, now: DateTime<Utc>, life: SessionLife, limits: SessionLimits) -> Result<()> {
        if !self.is_alive(now) || now >= life.end(self.created_at, self.refreshed_at) {
            return Err(Reason::SessionRevoked.into());
        }
        if now < self.end_within(limits) {
            return Ok(());
        }
        let allowed = limits.max_age_seconds.into_iter().chain(limits.idle_seconds).min().unwrap_or_default();
        let message = "The session is too old for the account; authenticate again.";
        Err(Error::with_message(Reason::ReauthenticationRequired, message).with("maxAgeSeconds", allowed.to_string()))
    }

    /// Returns when the session ends in a membership with these limits, unless it is used.
    pub fn end_within(&self, limits: SessionLimits) -> DateTime<Utc> {
        let aged = limits.max_age().map(|age| self.proved_at + age);
        // A pause since the proof was too long, and has ended the session in the membership.
        let is_over = limits.idle_seconds.is_some_and(|idle| self.longest_pause_seconds >= idle);
        let used_at = if is_over { self.proved_at } else { self.used_at() };
        let unused = limits.idle().map(|idle| used_at + idle);
        [aged, unused].into_iter().flatten().fold(self.expires_at, DateTime::min)
    }

    /// Returns when the session was last used, as far as it is stored: refreshed, or authenticated again.
    fn used_at(&self) -> DateTime<Utc> {
        self.refreshed_at.max(self.proved_at)
    }

    /// Returns the longest time between two uses, also if the session is used again at `now`.
    fn longest_pause_until(&self, now: DateTime<Utc>) -> i32 {
        let pause = i32::try_from((now - self.used_at()).num_seconds()).unwrap_or(i32::MAX);
        self.longest_pause_seconds.max(pause)
    }

    /// Applies a refresh with a token of the given generation. [`extend`](Self::extend) gives the session more time.
    pub fn refresh(self, generation: u32, now: DateTime<Utc>) -> Refresh {
        if !self.is_alive(now) {
            return Refresh::Over;
        }
        // A generation later than the stored one was issued before the store lost its last writes, so it is the newest.
        if generation >= self.generation {
            let generation = generation.saturating_add(1);
            let longest_pause_seconds = self.longest_pause_until(now);
            return Refresh::Rotated(Self { generation, refreshed_at: now, longest_pause_seconds, ..self });
        }
        if generation.checked_add(1) == Some(self.generation) && now - self.refreshed_at <= GRACE {
            return Refresh::Again(self);
        }
        Refresh::Reused
    }

    /// Returns the session with the expiry that follows from its last refresh.
    #[must_use]
    pub fn extend(self, life: SessionLife) -> Self {
        Self { expires_at: life.end(self.created_at, self.refreshed_at), ..self }
    }

    /// Begins the session of an application, to which the user gave access in this one. It belongs to the provider of the account, if
    /// this one does, and is as old as the last proof.
    pub fn grant(&self, id: SessionId, device: Device, grant: Grant, now: DateTime<Utc>, life: SessionLife) -> Self {
        let proof = Proof { at: self.authenticated_at, method: self.method, has_second_factor: self.has_second_factor };
        let begun = Self::begin(self.user, self.epoch, device, now, life).renew(proof);
        let longest_pause_seconds = self.longest_pause_until(now);
        let (account, provider) = (self.account, self.provider);
        Self { id, account, provider, grant: Some(grant), proved_at: self.proved_at, longest_pause_seconds, ..begun }
    }

    /// Returns the application of the session.
    pub fn client(&self) -> Option<OauthClientId> {
        self.grant.as_ref().map(|grant| grant.client)
    }

    /// Returns the session of a user who has proved who they are.
    #[must_use]
    pub fn renew(self, Proof { at, method, has_second_factor }: Proof) -> Self {
        let proved_at = self.proved_at.max(at);
        let longest_pause_seconds = if proved_at > self.proved_at { 0 } else { self.longest_pause_seconds };
        Self { authenticated_at: at, method, has_second_factor, proved_at, longest_pause_seconds, ..self }
    }

    /// Returns the session of another account.
    #[must_use]
    pub fn of_account(self, member: Option<&Member>) -> Self {
        Self { account: member.map(SessionAccount::from), ..self }
    }

    /// Returns the session of a provider.
    #[must_use]
    pub fn of_provider(self, provider: Option<AccountProviderId>) -> Self {
        Self { provider, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: SessionLife = SessionLife { unused: TimeDelta::days(30), whole: TimeDelta::days(90) };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    fn session() -> Session {
        Session::begin(UserId::generate(at(0)), 0, Device::default(), at(0), LIFE)
    }

    fn expect_rotated(refresh: Refresh) -> Session {
        match refresh {
            Refresh::Rotated(session) => session,
            other => panic!("not rotated: {other:?}"),
        }
    }

    #[test]
    fn each_refresh_gives_the_next_generation_and_more_time() {
        let session = expect_rotated(session().refresh(1, at(60))).extend(LIFE);
        assert_eq!((session.generation, session.expires_at), (2, at(60) + LIFE.unused));
        assert_eq!(expect_rotated(session.refresh(2, at(120))).generation, 3);
    }

    #[test]
    fn a_concurrent_refresh_gets_the_same_successor_for_ten_seconds() {
        let session = expect_rotated(session().refresh(1, at(60)));
        assert_eq!(session.clone().refresh(1, at(70)), Refresh::Again(session.clone()));
        assert_eq!(session.clone().refresh(1, at(71)), Refresh::Reused);
    }

    #[test]
    fn an_older_token_was_reused_even_within_the_grace() {
        let session = expect_rotated(session().refresh(1, at(60)));
        let session = expect_rotated(session.refresh(2, at(61)));
        assert_eq!(session.clone().refresh(1, at(62)), Refresh::Reused);
        let ended = Session { ended: true, ..session };
        assert_eq!(ended.refresh(3, at(63)), Refresh::Over);
    }

    #[test]
    fn a_store_that_lost_its_last_writes_does_not_end_sessions() {
        assert_eq!(expect_rotated(session().refresh(3, at(60))).generation, 4);
    }

    #[test]
    fn a_session_that_is_not_refreshed_ends() {
        assert_eq!(session().refresh(1, at(0) + LIFE.unused), Refresh::Over);
    }

    #[test]
    fn a_session_ends_however_often_it_is_refreshed() {
        let mut session = session();
        for days in 1..90 {
            let generation = session.generation;
            session = expect_rotated(session.refresh(generation, at(0) + TimeDelta::days(days))).extend(LIFE);
        }
        assert_eq!(session.expires_at, at(0) + LIFE.whole);
        let generation = session.generation;
        assert_eq!(session.refresh(generation, at(0) + LIFE.whole), Refresh::Over);
    }

    fn limits(idle_seconds: Option<i32>, max_age_seconds: Option<i32>) -> SessionLimits {
        SessionLimits { idle_seconds, max_age_seconds }
    }

    fn refusal(session: &Session, now: DateTime<Utc>, limits: SessionLimits) -> Option<&'static str> {
        session.check(now, LIFE, limits).err().map(|error| error.reason().facts().code)
    }

    #[test]
    fn an_account_ends_a_session_by_its_age() {
        let (session, limits) = (session(), limits(None, Some(3600)));
        assert_eq!(session.end_within(limits), at(3600));
        assert_eq!(refusal(&session, at(3599), limits), None);
        assert_eq!(refusal(&session, at(3600), limits), Some("REAUTHENTICATION_REQUIRED"));
        let refreshed = expect_rotated(session.refresh(1, at(3000))).extend(LIFE);
        assert_eq!(refusal(&refreshed, at(3600), limits), Some("REAUTHENTICATION_REQUIRED"));
        assert_eq!(refusal(&refreshed, at(3600), SessionLimits::default()), None, "another account");
        let renewed = refreshed.renew(Proof::password(at(3600)));
        assert_eq!(refusal(&renewed, at(7199), limits), None);
    }

    /// A provider may not say when it has authenticated the user, which is no recent authentication, but a sign-in.
    #[test]
    fn a_sign_in_of_unknown_time_has_the_age_of_the_session() {
        let proof = Proof { at: DateTime::UNIX_EPOCH, method: Method::Provider, has_second_factor: false };
        let session = session().renew(proof);
        assert_eq!(session.end_within(limits(None, Some(3600))), at(3600));
        let application = Grant { client: OauthClientId::generate(at(0)), scopes: Vec::new() };
        let granted = session.grant(SessionId::generate(at(0)), Device::default(), application, at(3000), LIFE);
        assert_eq!(granted.end_within(limits(None, Some(3600))), at(3600), "an application");
    }

    #[test]
    fn a_use_in_another_account_hides_no_pause() {
        let limits = limits(Some(900), None);
        let busy = expect_rotated(session().refresh(1, at(899))).extend(LIFE);
        assert_eq!((busy.end_within(limits), refusal(&busy, at(1798), limits)), (at(1799), None));
        let idle = expect_rotated(busy.refresh(2, at(1799))).extend(LIFE);
        assert_eq!(refusal(&idle, at(1800), limits), Some("REAUTHENTICATION_REQUIRED"));
        let application = Grant { client: OauthClientId::generate(at(0)), scopes: Vec::new() };
        let granted = idle.grant(SessionId::generate(at(0)), Device::default(), application, at(1800), LIFE);
        assert_eq!(refusal(&granted, at(1801), limits), Some("REAUTHENTICATION_REQUIRED"), "an application");
        assert_eq!(refusal(&idle.renew(Proof::password(at(1800))), at(1801), limits), None);
    }

    #[test]
    fn a_session_obeys_the_lifetime_of_now() {
        let life = SessionLife { unused: TimeDelta::hours(1), whole: TimeDelta::hours(2) };
        let check = |session: &Session, seconds| session.check(at(seconds), life, SessionLimits::default()).is_ok();
        let session = session();
        assert_eq!((check(&session, 3599), check(&session, 3600)), (true, false));
        let session = expect_rotated(session.refresh(1, at(3599)));
        assert_eq!((check(&session, 7198), check(&session, 7200)), (true, false));
    }

    #[test]
    fn a_user_agent_is_truncated_and_cleaned() {
        let device = Device::new(&format!("a\r\n{}", "ü".repeat(300)), String::new());
        assert_eq!(device.user_agent.chars().count(), 200);
        assert!(!device.user_agent.contains('\n'));
    }
}
