//! Calls of deprecated methods by caller, so that an operator sees whom the end of a method affects.
//!
//! Redis has a hash per method, with the number of calls of each caller and the times of the first and the last one. A hash
//! has a bounded number of callers and expires after the last call. A response that a cache serves is no call, nor is one with
//! status 401, 429 or 503. While Redis is unavailable, calls are counted by the metric alone.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use metrics::counter;
use uuid::Uuid;

use crate::{
    app::App,
    caller::{Caller, Means, SignIn},
    clock::Clock,
    contract::Method,
    error::Result,
    numbered::numbered,
    redis::{Redis, Script, Table, Unavailable},
};

/// The most callers of a method that are counted each. All others are counted together.
pub const MAX_CALLERS: usize = 1000;
/// For how long the counts of a method are kept after its last call.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

numbered! {
    /// The kind of a caller.
    CallerKind {
        /// A caller of a public method without a credential.
        Anonymous = 1 => "anonymous",
        /// A user with a session.
        User = 2 => "user",
        /// A program with a personal access token of a user.
        Token = 3 => "token",
        /// A service with a key or a client certificate.
        Service = 4 => "service",
        /// The callers beyond [`MAX_CALLERS`].
        Others = 5 => "others",
    }
}

impl CallerKind {
    fn of(caller: Option<&Caller>) -> Self {
        match caller {
            None => Self::Anonymous,
            Some(Caller::User { sign_in: SignIn { means: Means::Token, .. }, .. }) => Self::Token,
            Some(Caller::User { .. }) => Self::User,
            Some(Caller::Service { .. }) => Self::Service,
        }
    }
}

/// The calls of a method by one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerCalls {
    /// The kind of the caller.
    pub kind: CallerKind,
    /// The user or the service; `None` if it is unknown, or if there are several.
    pub principal: Option<Uuid>,
    /// The number of calls since the first one.
    pub count: u64,
    /// The time of the first call.
    pub first: DateTime<Utc>,
    /// The time of the last call.
    pub last: DateTime<Utc>,
}

/// The counts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeprecatedCalls {
    redis: Redis,
    clock: Clock,
}

/// Counts a call. KEYS: the method. ARGV: the caller, the time in milliseconds, the most callers, the time to live in
/// milliseconds.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local caller = ARGV[1]
         local entry = redis.call('HGET', KEYS[1], caller)
         if not entry and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
           caller = 'others'
           entry = redis.call('HGET', KEYS[1], caller)
         end
         local count, first = string.match(entry or '', '^(%d+) (%d+) ')
         entry = string.format('%d %s %s', (count or 0) + 1, first or ARGV[2], ARGV[2])
         redis.call('HSET', KEYS[1], caller, entry)
         redis.call('PEXPIRE', KEYS[1], ARGV[4])",
    )
});

impl DeprecatedCalls {
    /// Returns the counts of an application.
    pub fn new(app: &App) -> Self {
        Self { redis: app.redis.clone(), clock: app.clock.clone() }
    }

    /// Counts a call. It costs one script of Redis.
    pub(crate) async fn count(&self, method: &'static Method, caller: Option<&Caller>) {
        let kind = CallerKind::of(caller);
        counter!("mainstay_deprecated_calls_total", "caller" => kind.name(), "method" => &*method.name).increment(1);
        let caller = match caller {
            Some(caller) => format!("{}:{}", kind.name(), caller.principal()),
            None => kind.name().to_owned(),
        };
        let (key, now) = (key(method), self.clock.now());
        let outcome = match &self.redis {
            Redis::Server(link) => {
                let (most, kept_ms) = (MAX_CALLERS.to_string(), KEPT.as_millis().to_string());
                link.script::<()>(&COUNT, &[key], &[caller, now.timestamp_millis().to_string(), most, kept_ms]).await
            }
            Redis::Local(local) => local.run(|table| count_locally(table, &key, &caller, now)),
        };
        outcome
            .unwrap_or_else(|error| tracing::debug!(cause = %error, "a call of a deprecated method was not counted"));
    }

    /// Returns the callers of a method within the last 90 days, those of the latest calls first.
    ///
    /// # Errors
    /// `UNAVAILABLE` while Redis is unavailable.
    pub async fn callers(&self, method: &Method) -> Result<Vec<CallerCalls>> {
        let key = key(method);
        let entries: HashMap<String, String> = match &self.redis {
            Redis::Server(link) => link.cmd(redis::cmd("HGETALL").arg(&key)).await?,
            Redis::Local(local) => local.run(|table| {
                let prefix = format!("{key}:");
                let of_method =
                    table.with_prefix(&prefix).map(|(key, entry)| (key[prefix.len()..].to_owned(), text(&entry)));
                of_method.collect()
            }),
        };
        // A hash is kept for as long as any caller calls.
        let oldest = self.clock.now() - KEPT;
        let callers = entries.iter().filter_map(|(caller, entry)| read(caller, entry));
        let mut callers: Vec<_> = callers.filter(|caller| caller.last > oldest).collect();
        callers.sort_by_key(|caller| (std::cmp::Reverse(caller.last), caller.kind, caller.principal));
        Ok(callers)
    }
}

/// Does what [`COUNT`] does in Redis.
fn count_locally(table: &mut Table<'_>, key: &str, caller: &str, now: DateTime<Utc>) -> Result<(), Unavailable> {
    let mut name = format!("{key}:{caller}");
    if table.get(&name).is_none() && table.with_prefix(&format!("{key}:")).count() >= MAX_CALLERS {
        name = format!("{key}:{}", CallerKind::Others.name());
    }
    let earlier = table.get(&name).and_then(|entry| read(caller, &text(&entry)));
    let (count, first) = earlier.map_or((0, now), |earlier| (earlier.count, earlier.first));
    let entry = format!("{} {} {}", count + 1, first.timestamp_millis(), now.timestamp_millis());
    table.set(&name, entry, KEPT)
}

fn key(method: &Method) -> String {
    format!("mainstay:deprecated_calls:{}", method.path)
}

fn text(entry: &[u8]) -> String {
    String::from_utf8_lossy(entry).into_owned()
}

fn read(caller: &str, entry: &str) -> Option<CallerCalls> {
    let (kind, principal) = caller.split_once(':').map_or((caller, None), |(kind, id)| (kind, id.parse().ok()));
    let kind = CallerKind::from_name(kind)?;
    let mut parts = entry.split(' ').map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    let (count, first, last) = (next()?, next()?, next()?);
    let time = DateTime::from_timestamp_millis;
    Some(CallerCalls { kind, principal, count: count.unsigned_abs(), first: time(first)?, last: time(last)? })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{contract::policy::tests, redis::Local};

    #[tokio::test]
    async fn callers_beyond_the_most_are_counted_together() {
        let (policies, clock) = (Box::leak(Box::new(tests::public_get())), Clock::default());
        let method = policies.iter().next().expect("its method");
        let local = Local::new(clock.clone());
        let calls = DeprecatedCalls { redis: Redis::Local(local.clone()), clock: clock.clone() };
        calls.count(method, None).await;
        let began = calls.callers(method).await.unwrap()[0].first;
        for number in 1..MAX_CALLERS + 3 {
            local
                .run(|table| {
                    count_locally(table, &key(method), &format!("user:{}", Uuid::from_u128(number as u128)), began)
                })
                .unwrap();
        }
        clock.advance(TimeDelta::minutes(1));
        calls.count(method, None).await;
        let callers = calls.callers(method).await.unwrap();
        assert_eq!(callers.len(), MAX_CALLERS + 1);
        assert_eq!((callers[0].kind, callers[0].count, callers[0].first), (CallerKind::Anonymous, 2, began));
        assert!(callers[0].last > began, "the latest call comes first");
        let others: Vec<_> = callers.iter().filter(|caller| caller.kind == CallerKind::Others).collect();
        assert_eq!((others.len(), others[0].count, others[0].principal), (1, 3, None));
    }
}
