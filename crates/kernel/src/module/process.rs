//! The process of a server or a worker, with the background tasks that modules start in it.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::app::App;

/// The time in which each part of a process must close before it is aborted.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the background tasks of a module.
pub type Start = for<'a> fn(&'a mut Process) -> BoxFuture<'a, anyhow::Result<()>>;

/// The role of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Serves requests, and runs jobs unless `JOBS_IN_SERVE=false`.
    Server {
        /// The base URL of the listener.
        url: String,
        /// The private database, for a trial without setup; `None` if a database is configured.
        private_database: Option<PrivateDatabase>,
    },
    /// Runs jobs only.
    Worker,
}

/// The private database of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateDatabase {
    /// Whether no earlier start has run a scheduled task, and no command has [recorded a use](crate::schedule::record_use).
    pub is_new: bool,
    /// Whether it may hold sample data.
    pub takes_samples: bool,
}

/// The process of a server or a worker, with the background tasks of modules.
#[must_use = "what was started is to be closed"]
pub struct Process {
    /// The application.
    pub app: App,
    /// The role of the process.
    pub purpose: Purpose,
    module: &'static str,
    notices: Vec<String>,
    suggestions: Vec<String>,
    preparations: Vec<BoxFuture<'static, ()>>,
    closing: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

// Omits notices and suggestions, which may contain a password.
debug_fields!(Process: purpose);

impl Process {
    pub(super) fn new(app: App, purpose: Purpose) -> Self {
        let (notices, suggestions, preparations, closing) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { app, purpose, module: "", notices, suggestions, preparations, closing }
    }

    pub(super) async fn start(&mut self, module: &'static str, start: Start) -> anyhow::Result<()> {
        self.module = module;
        start(self).await
    }

    /// Registers a future that runs when the process ends: after the last request and job, in reverse order of
    /// registration. It is aborted after 5 s.
    pub fn on_close(&mut self, close: impl Future<Output = ()> + Send + 'static) {
        self.closing.push((self.module, Box::pin(close)));
    }

    /// Registers a future that runs before the first job. The server already answers requests meanwhile.
    pub fn before_jobs(&mut self, preparation: impl Future<Output = ()> + Send + 'static) {
        self.preparations.push(Box::pin(preparation));
    }

    /// Takes the futures that must run before the first job.
    pub fn take_preparations(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let preparations = std::mem::take(&mut self.preparations);
        async move {
            for preparation in preparations {
                preparation.await;
            }
        }
    }

    /// Adds a paragraph to the text that a server prints once it listens.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Returns the line by which a shell runs another command of this program on the same private database.
    pub fn command_line(&self, command: &str) -> String {
        let program = std::env::current_exe().map_or_else(|_| "mainstay".to_owned(), |path| path.display().to_string());
        let directory = self.app.config.database.data_dir.display();
        format!("MAINSTAY_DATA_DIR={directory} {program} {command}")
    }

    /// Adds a shell command to the suggestions that a server prints once it listens. `$TOKEN` is the access token that
    /// the first of them obtains.
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

    /// Runs the registered close functions in reverse order.
    pub async fn close(self) {
        close_in_reverse(self.closing).await;
    }
}

/// Each future runs in a separate task, so that a panic or a hang of one does not keep the others from closing.
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
    async fn a_panic_or_a_hang_keeps_no_other_component_from_closing() {
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
