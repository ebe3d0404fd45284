//! The session store. Redis has one hash per user, so that listing, ending and limiting a user's sessions involves one
//! key; the in-memory stand-in has one value per session.
//!
//! For both, [`model`](crate::identity::session::model) decides the effect of a refresh. Changes are stored by
//! compare-and-swap against the session that the decision was based on, atomically in Redis and in the stand-in.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;

use crate::identity::session::model::{MAX_PER_USER, Session};
use mainstay_kernel::{
    error::{Error, Result},
    id::{SessionId, UserId},
    redis::{Local, Redis, RedisLink, Script, Unavailable},
};

/// Sets a field and the expiry of the key, and returns the number of fields.
static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
         redis.call('PEXPIRE', KEYS[1], ARGV[3])
         return redis.call('HLEN', KEYS[1])",
    )
});

/// Replaces a field if it has the expected value.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
         redis.call('PEXPIRE', KEYS[1], ARGV[4])
         return 1",
    )
});

/// The sessions of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    redis: Redis,
    life: Duration,
}

/// A session as read from the store.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub session: Session,
    bytes: Bytes,
}

impl StoredSession {
    fn read(bytes: Bytes) -> Result<Self> {
        let session = serde_json::from_slice(&bytes).map_err(Error::internal)?;
        Ok(Self { session, bytes })
    }
}

fn write(session: &Session) -> Result<Bytes> {
    serde_json::to_vec(session).map(Bytes::from).map_err(Error::internal)
}

fn hash_key(user: UserId) -> String {
    format!("mainstay:sessions:{user}")
}

fn prefix(user: UserId) -> String {
    format!("session:{user}:")
}

impl Sessions {
    /// Makes a store of sessions that live for `life` without a refresh.
    pub fn new(redis: Redis, life: Duration) -> Self {
        Self { redis, life }
    }

    fn life_ms(&self) -> u64 {
        u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX >> 2)
    }

    /// Stores a new session. Beyond [`MAX_PER_USER`], removes one that has ended or else the one refreshed the longest
    /// ago.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is unavailable; the session may be stored or not.
    pub async fn insert(&self, session: &Session) -> Result<()> {
        let (user, bytes) = (session.user, write(session)?);
        let count = match &self.redis {
            Redis::Server(link) => {
                let life = self.life_ms().to_string();
                let id = session.id.to_string();
                let args = [id.as_bytes(), &bytes, life.as_bytes()];
                link.script::<usize>(&INSERT, &[hash_key(user)], &args).await?
            }
            Redis::Local(local) => local.run(|table| {
                let prefix = prefix(user);
                table.set(&format!("{prefix}{}", session.id), bytes, self.life)?;
                Ok::<_, Unavailable>(table.with_prefix(&prefix).count())
            })?,
        };
        if count > MAX_PER_USER {
            let mut sessions = self.list(user).await?;
            sessions.sort_by_key(|session| (!session.ended, session.refreshed_at));
            let over = sessions.len().saturating_sub(MAX_PER_USER);
            let over: Vec<_> = sessions[..over].iter().map(|session| session.id).collect();
            self.remove(user, &over).await?;
        }
        Ok(())
    }

    /// Returns one session.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is unavailable.
    pub async fn find(&self, user: UserId, id: SessionId) -> Result<Option<StoredSession>> {
        let bytes = match &self.redis {
            Redis::Server(link) => {
                let bytes: Option<Vec<u8>> =
                    link.cmd(redis::cmd("HGET").arg(hash_key(user)).arg(id.to_string())).await?;
                bytes.map(Bytes::from)
            }
            Redis::Local(local) => local.run(|table| table.get(&format!("{}{id}", prefix(user)))),
        };
        bytes.map(StoredSession::read).transpose()
    }

    /// Returns all sessions of a user, ended ones included, in no particular order.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is unavailable.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>> {
        let all: Vec<Bytes> = match &self.redis {
            Redis::Server(link) => {
                let all: Vec<Vec<u8>> = link.cmd(redis::cmd("HVALS").arg(hash_key(user))).await?;
                all.into_iter().map(Bytes::from).collect()
            }
            Redis::Local(local) => {
                local.run(|table| table.with_prefix(&prefix(user)).map(|(_, bytes)| bytes).collect())
            }
        };
        all.into_iter().map(|bytes| StoredSession::read(bytes).map(|entry| entry.session)).collect()
    }

    /// Replaces `entry` with `next`, by compare-and-swap. Returns `false` if the stored session is no longer `entry`;
    /// the caller must read it again.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is unavailable; the session may be stored or not.
    pub async fn replace(&self, entry: &StoredSession, next: &Session) -> Result<bool> {
        let bytes = write(next)?;
        match &self.redis {
            Redis::Server(link) => self.replace_in_redis(link, entry, &bytes).await,
            Redis::Local(local) => self.replace_locally(local, entry, bytes),
        }
    }

    async fn replace_in_redis(&self, link: &RedisLink, entry: &StoredSession, bytes: &[u8]) -> Result<bool> {
        let (id, life) = (entry.session.id.to_string(), self.life_ms().to_string());
        let args = [id.as_bytes(), &entry.bytes, bytes, life.as_bytes()];
        Ok(link.script::<u8>(&SWAP, &[hash_key(entry.session.user)], &args).await? == 1)
    }

    fn replace_locally(&self, local: &Local, entry: &StoredSession, bytes: Bytes) -> Result<bool> {
        let key = format!("{}{}", prefix(entry.session.user), entry.session.id);
        let replaced = local.run(|table| {
            if table.get(&key).as_ref() != Some(&entry.bytes) {
                return Ok(false);
            }
            table.set(&key, bytes, self.life).map(|()| true)
        });
        Ok(replaced?)
    }

    /// Removes sessions of a user.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is unavailable.
    pub async fn remove(&self, user: UserId, ids: &[SessionId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        match &self.redis {
            Redis::Server(link) => {
                let mut command = redis::cmd("HDEL");
                command.arg(hash_key(user));
                for id in ids {
                    command.arg(id.to_string());
                }
                link.cmd::<()>(&command).await?;
            }
            Redis::Local(local) => local.run(|table| {
                for id in ids {
                    table.remove(&format!("{}{id}", prefix(user)));
                }
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::identity::session::model::{Device, Refresh, SessionLife};
    use mainstay_dev_servers::{Redis as RedisServer, RedisOptions};
    use mainstay_kernel::{clock::Clock, config};

    const LIFE: SessionLife = SessionLife { unused: TimeDelta::days(30), whole: TimeDelta::days(90) };

    fn fixture() -> (Sessions, Clock, UserId) {
        let clock = Clock::default();
        on(Redis::Local(Local::new(clock.clone())), clock)
    }

    fn on(redis: Redis, clock: Clock) -> (Sessions, Clock, UserId) {
        let sessions = Sessions::new(redis, LIFE.unused.to_std().expect("positive"));
        let user = UserId::generate(clock.now());
        (sessions, clock, user)
    }

    #[tokio::test]
    async fn only_one_of_two_refreshes_is_stored_and_both_agree() {
        let server = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        let config = config::Redis {
            url: Some(server.url().into()),
            cluster: false,
            sentinels: Vec::new(),
            timeout: Duration::from_millis(500),
        };
        let redis = Redis::new(&config, Clock::default()).await.expect("a URL");
        refresh_twice(on(redis, Clock::default())).await;
        refresh_twice(fixture()).await;
    }

    async fn refresh_twice((sessions, clock, user): (Sessions, Clock, UserId)) {
        let session = Session::begin(user, 0, Device::default(), clock.now(), LIFE);
        sessions.insert(&session).await.expect("room");
        let entry = sessions.find(user, session.id).await.expect("here").expect("stored");
        let Refresh::Rotated(next) = entry.session.clone().refresh(1, clock.now(), LIFE) else { panic!("refused") };
        assert!(sessions.replace(&entry, &next).await.expect("here"));
        assert!(!sessions.replace(&entry, &next).await.expect("here"), "it is no longer what was found");
        let again = sessions.find(user, session.id).await.expect("here").expect("stored").session;
        assert_eq!(again.refresh(1, clock.now(), LIFE), Refresh::Again(next));
    }

    #[tokio::test]
    async fn the_longest_idle_session_ends() {
        let (sessions, clock, user) = fixture();
        let mut ids = Vec::new();
        for _ in 0..=MAX_PER_USER {
            clock.advance(TimeDelta::seconds(1));
            let session = Session::begin(user, 0, Device::default(), clock.now(), LIFE);
            sessions.insert(&session).await.expect("room");
            ids.push(session.id);
        }
        assert_eq!(sessions.list(user).await.expect("here").len(), MAX_PER_USER);
        assert!(sessions.find(user, ids[0]).await.expect("here").is_none());
        assert!(sessions.list(UserId::generate(clock.now())).await.expect("here").is_empty());
    }

    /// Without Redis, the stand-in holds 100,000 sessions.
    #[tokio::test]
    async fn a_flood_of_sessions_ends_only_unused_sessions() {
        let clock = Clock::default();
        let local = Local::new(clock.clone());
        let (sessions, clock, owner) = on(Redis::Local(local.clone()), clock);
        let [idle, used] = [(); 2].map(|()| Session::begin(owner, 0, Device::default(), clock.now(), LIFE));
        sessions.insert(&idle).await.expect("room");
        sessions.insert(&used).await.expect("room");
        let flood = |number: u32| {
            clock.advance(TimeDelta::seconds(1));
            local.run(|table| {
                for other in 0..60_000 {
                    table.set(&format!("session:other:{number}:{other}"), "", sessions.life).expect("room");
                }
            });
            clock.advance(TimeDelta::seconds(1));
        };
        flood(1);
        let entry = sessions.find(owner, used.id).await.expect("here").expect("stored");
        let Refresh::Rotated(next) = entry.session.clone().refresh(1, clock.now(), LIFE) else { panic!("refused") };
        assert!(sessions.replace(&entry, &next).await.expect("here"));
        flood(2);
        assert!(sessions.find(owner, idle.id).await.expect("here").is_none(), "it was refreshed the longest ago");
        assert_eq!(sessions.find(owner, used.id).await.expect("here").map(|entry| entry.session), Some(next));
    }

    #[tokio::test]
    async fn removed_sessions_are_gone() {
        let (sessions, clock, user) = fixture();
        let session = Session::begin(user, 0, Device::default(), clock.now(), LIFE);
        sessions.insert(&session).await.expect("room");
        sessions.remove(user, &[session.id]).await.expect("here");
        assert!(sessions.find(user, session.id).await.expect("here").is_none());
    }
}
