//! Causes that end access tokens before they expire: the end of their session, a new epoch of their user, a new version of
//! their membership or role, or the end of the membership. Service keys that an instance has verified end likewise.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

use mainstay_kernel::id::{SessionId, UserId};

/// The maximum age of an instance's revocations. After this time without a successful poll, the instance asks Postgres
/// about each token, so that a partitioned instance does not accept revoked tokens.
pub const MAX_STALENESS: Duration = Duration::from_secs(3);

/// An epoch of a user. Sessions of earlier epochs are void, and so are their access tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epoch {
    pub number: i32,
    /// The session of an earlier epoch that continues, because it began this one.
    pub kept: Option<SessionId>,
}

impl Epoch {
    /// Returns the next epoch, which ends every session but `kept`.
    #[must_use]
    pub fn next(self, kept: Option<SessionId>) -> Self {
        Self { number: self.number + 1, kept }
    }

    /// Returns whether a session that began or was last refreshed in the epoch `number` is valid.
    pub fn admits(self, session: SessionId, number: i32) -> bool {
        number == self.number || self.kept == Some(session)
    }
}

/// A version of something that an access token depends on, such as its custom role. A later version ends the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectVersion {
    /// The id.
    pub subject: Uuid,
    /// The version, which is counted like the epochs of users.
    pub number: i32,
}

impl SubjectVersion {
    /// Returns a version of a subject.
    pub fn new(subject: Uuid, version: i64) -> Self {
        Self { subject, number: i32::try_from(version).unwrap_or(i32::MAX) }
    }
}

/// A revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The id of a session, a user, a membership, a role or a service key.
    pub subject: Uuid,
    /// For a user: the epoch that has begun. For a membership, a role and a service key: the new version; `None` if it ended.
    pub epoch: Option<Epoch>,
}

/// The claims of an access token that a revocation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenClaims {
    pub user: UserId,
    pub session: SessionId,
    /// The user's epoch when the token was issued.
    pub epoch: i32,
    /// The version of the membership, if the token has an account.
    pub member: Option<SubjectVersion>,
    /// The version of the custom role, if the token has one.
    pub role: Option<SubjectVersion>,
    /// The version of the service key, if the credential is one.
    pub key: Option<SubjectVersion>,
}

/// The revocations of the last minutes that this instance has read.
#[derive(Debug, Default)]
pub struct RevocationSet {
    by_subject: HashMap<Uuid, (Option<Epoch>, Instant)>,
    /// When the last read began.
    read_at: Option<Instant>,
}

impl RevocationSet {
    /// Adds the revocations of a read that began at `read_at`, and drops revocations older than `life`, which exceeds
    /// the life of a token.
    pub fn learn(&mut self, revocations: Vec<Revocation>, read_at: Instant, life: Duration) {
        self.by_subject.retain(|_, (_, learned_at)| read_at.saturating_duration_since(*learned_at) < life);
        for Revocation { subject, epoch } in revocations {
            self.by_subject.insert(subject, (epoch, read_at));
        }
        self.read_at = Some(read_at);
    }

    /// Returns whether a token that was found valid at `checked_at` is still valid according to this instance's
    /// revocations.
    pub fn allows(&self, token: TokenClaims, checked_at: Instant, now: Instant) -> bool {
        let known_at = self.read_at.map_or(checked_at, |read_at| read_at.max(checked_at));
        now.saturating_duration_since(known_at) < MAX_STALENESS && !self.ends(token)
    }

    /// Returns the time since the last read; `None` before the first.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.read_at.map(|read_at| now.saturating_duration_since(read_at))
    }

    fn ends(&self, token: TokenClaims) -> bool {
        if self.by_subject.is_empty() {
            return false;
        }
        let admits = |epoch: &Option<Epoch>| epoch.is_some_and(|epoch| epoch.admits(token.session, token.epoch));
        let user = self.by_subject.get(&token.user.0).is_some_and(|(epoch, _)| !admits(epoch));
        let is_outdated = |version: SubjectVersion| {
            let later = self.by_subject.get(&version.subject);
            later.is_some_and(|(later, _)| later.is_none_or(|later| later.number > version.number))
        };
        let mut versions = token.member.into_iter().chain(token.role).chain(token.key);
        user || self.by_subject.contains_key(&token.session.0) || versions.any(is_outdated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(400);

    fn token(epoch: i32) -> TokenClaims {
        let (user, session) = (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        TokenClaims { user, session, epoch, member: None, role: None, key: None }
    }

    fn epoch(number: i32, kept: Option<u128>) -> Revocation {
        let kept = kept.map(|id| SessionId(Uuid::from_u128(id)));
        Revocation { subject: Uuid::from_u128(1), epoch: Some(Epoch { number, kept }) }
    }

    #[test]
    fn a_session_and_an_earlier_epoch_end_their_tokens() {
        let now = Instant::now();
        let mut revocations = RevocationSet::default();
        assert!(revocations.allows(token(3), now, now));
        revocations.learn(vec![epoch(4, Some(2))], now, LIFE);
        assert!(revocations.allows(token(3), now, now), "the session is kept");
        revocations.learn(vec![epoch(4, Some(9))], now, LIFE);
        assert!(!revocations.allows(token(3), now, now), "another session is kept");
        revocations.learn(vec![epoch(4, None)], now, LIFE);
        assert!(!revocations.allows(token(3), now, now) && revocations.allows(token(4), now, now));
        revocations.learn(vec![Revocation { subject: Uuid::from_u128(2), epoch: None }], now, LIFE);
        assert!(!revocations.allows(token(4), now, now));
        revocations.learn(Vec::new(), now + LIFE, LIFE);
        assert!(revocations.by_subject.is_empty(), "every token has expired by now");
    }

    #[test]
    fn a_later_version_of_a_membership_or_role_ends_the_tokens_of_earlier_ones() {
        let now = Instant::now();
        let mut revocations = RevocationSet::default();
        let version = |number| Some(SubjectVersion::new(Uuid::from_u128(3), number));
        let tokens = |number| {
            let (role, member, key) = (version(number), version(number), version(number));
            [TokenClaims { role, ..token(0) }, TokenClaims { member, ..token(0) }, TokenClaims { key, ..token(0) }]
        };
        let subject = |epoch| Revocation { subject: Uuid::from_u128(3), epoch };
        revocations.learn(vec![subject(Some(Epoch { number: 3, kept: None }))], now, LIFE);
        let allowed = [2, 3, 4].map(|number| tokens(number).map(|token| revocations.allows(token, now, now)));
        assert_eq!(allowed, [[false; 3], [true; 3], [true; 3]]);
        assert!(revocations.allows(token(0), now, now), "a token without either");
        // The membership has ended.
        revocations.learn(vec![subject(None)], now, LIFE);
        assert!(tokens(4).iter().all(|token| !revocations.allows(*token, now, now)));
    }

    #[test]
    fn without_news_a_token_is_trusted_for_a_moment_only() {
        let (then, mut revocations) = (Instant::now(), RevocationSet::default());
        assert!(revocations.allows(token(0), then, then));
        assert!(!revocations.allows(token(0), then, then + MAX_STALENESS), "never any news");
        revocations.learn(Vec::new(), then + MAX_STALENESS, LIFE);
        assert!(revocations.allows(token(0), then, then + MAX_STALENESS), "nothing was revoked since");
        assert!(!revocations.allows(token(0), then, then + 2 * MAX_STALENESS), "the news is old");
        assert!(
            revocations.allows(token(0), then + 2 * MAX_STALENESS, then + 2 * MAX_STALENESS),
            "just checked in Postgres"
        );
    }
}
