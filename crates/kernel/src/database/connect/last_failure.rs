//! What keeps a process from Postgres. Requests wait for a connection of the pool, which only knows that there was none in
//! time; why, the operator reads in the log, and in the cause of each refused request.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::ConnectFailure;

/// The minimum time between two log lines about the same failure.
const QUIET: Duration = Duration::from_secs(30);

/// The last attempt to connect, if it failed.
#[derive(Debug, Default)]
pub(super) struct LastFailure(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    current: Option<String>,
    logged: Option<(Instant, String)>,
}

impl LastFailure {
    /// Notes a failure, and logs it if it is another one than before, and every 30 s.
    pub(super) fn note(&self, failure: &ConnectFailure) {
        let text = failure.to_string();
        if self.lock().note(text.clone(), Instant::now()) {
            tracing::warn!("{text}");
        }
    }

    /// Notes that a connection was opened.
    pub(super) fn clear(&self) {
        self.lock().current = None;
    }

    pub(super) fn get(&self) -> Option<String> {
        self.lock().current.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns whether to log it.
    fn note(&mut self, failure: String, now: Instant) -> bool {
        let is_known = self
            .logged
            .as_ref()
            .is_some_and(|(at, logged)| *logged == failure && now.saturating_duration_since(*at) < QUIET);
        self.current = Some(failure.clone());
        if !is_known {
            self.logged = Some((now, failure));
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::connect::{failure::Attempts, server::Server};

    #[test]
    fn a_failure_is_logged_when_it_changes_and_every_half_minute() {
        let (mut state, begin) = (State::default(), Instant::now());
        let mut note = |failure: &str, seconds| state.note(failure.to_owned(), begin + Duration::from_secs(seconds));
        assert!(note("refused", 0));
        assert!(!note("refused", 29));
        assert!(note("starting", 29));
        assert!(note("refused", 29));
        assert!(!note("refused", 58));
        assert!(note("refused", 59));
    }

    #[test]
    fn a_connection_ends_the_failure_but_not_the_silence() {
        let last = LastFailure::default();
        let config = "postgres://somebody:secret@db.example.com/shop".parse().expect("a URL");
        let failure = ConnectFailure::new(&Server::all(&config), &config, Attempts::default());
        last.note(&failure);
        assert!(last.get().is_some_and(|text| text.contains("db.example.com") && !text.contains("secret")));
        last.clear();
        assert_eq!(last.get(), None);
        assert!(!last.lock().note(failure.to_string(), Instant::now()), "where every second attempt fails");
    }
}
