//! The process of a server or a worker, and what modules have in it beside requests and jobs.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

use crate::app::App;

/// How long each part of a process may take to close; then the process ends without it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts what a module has in a process.
pub type Start = for<'a> fn(&'a mut Process) -> BoxFuture<'a, anyhow::Result<()>>;

/// What a process is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// It serves requests, and runs jobs unless `JOBS_IN_SERVE=false`.
    Server {
        /// The URL that it listens on.
        url: String,
        /// The private database, as of somebody who tries the program out; `None`: the database was given.
        private_database: Option<PrivateDatabase>,
    },
    /// It runs jobs only.
    Worker,
}

/// The private database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateDatabase {
    /// Whether this start made it.
    pub is_new: bool,
    /// Whether it may hold sample data.
    pub takes_samples: bool,
}

/// The process of a server or a worker, in which modules have started what they need beside requests and jobs.
#[must_use = "what was started is to be closed"]
pub struct Process {
    /// The application.
    pub app: App,
    /// What the process is for.
    pub purpose: Purpose,
    /// The module that starts something now.
    module: &'static str,
    notices: Vec<String>,
    suggestions: Vec<String>,
    preparations: Vec<BoxFuture<'static, ()>>,
    closing: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

impl fmt::Debug for Process {
    /// Omits what is printed, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl Process {
    pub(super) fn new(app: App, purpose: Purpose) -> Self {
        let (notices, suggestions, preparations, closing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { app, purpose, module: "", notices, suggestions, preparations, closing }
    }

    /// Starts what a module has.
    pub(super) async fn start(&mut self, module: &'static str, start: Start) -> anyhow::Result<()> {
        self.module = module;
        start(self).await
    }

    /// Has this done when the process ends, after the last request and job, and after whatever was started later is
    /// closed. It has 5 s.
    pub fn on_close(&mut self, close: impl Future<Output = ()> + Send + 'static) {
        self.closing.push((self.module, Box::pin(close)));
    }

    /// Has this done while the server answers its first requests, and before it runs its first job.
    pub fn before_jobs(&mut self, preparation: impl Future<Output = ()> + Send + 'static) {
        self.preparations.push(Box::pin(preparation));
    }

    /// Takes what is to be done before the first job.
    pub fn take_preparations(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let preparations = std::mem::take(&mut self.preparations);
        async move {
            for preparation in preparations {
                preparation.await;
            }
        }
    }

    /// Adds a paragraph to what a server prints once it listens.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Adds a command of the shell to those that a server suggests to try once it listens. `$TOKEN` is the access token
    /// that the first of them gets.
    pub fn suggest(&mut self, command: impl Into<String>) {
        self.suggestions.push(command.into());
    }

    /// Returns the paragraphs to print.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Returns the commands to suggest.
    pub fn suggestions(&self) -> &[String] {
        &self.suggestions
    }

    /// Closes what was started, the last of it first.
    pub async fn close(self) {
        close_in_reverse(self.closing).await;
    }
}

/// Each has a task of its own, so that one that panics or hangs keeps no other from closing.
async fn close_in_reverse(closing: Vec<(&'static str, BoxFuture<'static, ()>)>) {
    for (module, close) in closing.into_iter().rev() {
        let mut task = tokio::spawn(close);
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut task).await.is_err() {
            task.abort();
            tracing::warn!(module, "a background task of a module did not close in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt as _;

    use super::*;

    async fn panic() {
        panic!("on purpose");
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_or_hangs_keeps_nothing_else_from_closing() {
        let names = Arc::new(Mutex::new(Vec::new()));
        let close = |name: &'static str| {
            let names = names.clone();
            async move { names.lock().expect("no panic").push(name) }.boxed()
        };
        let (panics, hangs) = (panic().boxed(), std::future::pending().boxed());
        close_in_reverse(vec![("log", close("log")), ("one", panics), ("two", hangs), ("pool", close("pool"))]).await;
        assert_eq!(*names.lock().expect("no panic"), ["pool", "log"]);
    }
}
