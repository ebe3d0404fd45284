//! A mail provider as a process, which does as it is told.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A provider; it and the mail it took end with this value.
#[derive(Debug)]
pub(crate) struct MailProvider {
    child: Option<Child>,
    port: u16,
    encryption: Option<Encryption>,
    directory: tempfile::TempDir,
}

/// How it is spoken to, and the PEM files it has for that.
#[derive(Debug)]
pub(crate) struct Encryption {
    pub(crate) how: &'static str,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The server needs a moment to see what is there; a test machine may be slow.
const WITHIN: Duration = Duration::from_secs(60);

impl MailProvider {
    /// One that takes mail unencrypted.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// One that takes it encrypted, or not at all.
    pub(crate) async fn with(encryption: Option<Encryption>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut provider = Self { child: None, port: 0, encryption, directory };
        provider.restart().await;
        provider
    }

    /// Starts it again after [`MailProvider::kill`], at the same port.
    pub(crate) async fn restart(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "how `make test` tells where its Python is")]
        let python = std::env::var("MAIL_SERVER_PYTHON").expect("MAIL_SERVER_PYTHON, which scripts/test sets");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/mail_server/server.py");
        let mut command = Command::new(python);
        command.arg("-W").arg("ignore").arg(script).arg(self.directory.path()).arg(self.port.to_string());
        if let Some(Encryption { how, certificate, key }) = &self.encryption {
            command.args([certificate.as_str(), key.as_str(), how]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("Python runs");
        let output = child.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = line.await.expect("no panic").expect("a line");
        self.child = Some(child);
        self.port = line.trim().parse().unwrap_or_else(|_| panic!("the provider did not start: {line:?}"));
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().expect("our own child");
        }
    }

    /// Has it do something else from now on.
    pub(crate) fn behave(&self, behaviour: &Value) {
        let (path, aside) = (self.directory.path().join("behaviour"), self.directory.path().join("aside"));
        std::fs::write(&aside, behaviour.to_string()).expect("written");
        std::fs::rename(aside, path).expect("in its place");
    }

    /// Where it is, and how to get in.
    pub(crate) fn url(&self) -> String {
        match self.encryption.as_ref().map(|encryption| encryption.how) {
            None => format!("smtp://mainstay:sesame@127.0.0.1:{}?tls=none", self.port),
            Some("starttls") => format!("smtp://mainstay:sesame@localhost:{}?tls=required", self.port),
            Some(_) => format!("smtps://mainstay:sesame@localhost:{}", self.port),
        }
    }

    /// The variables of a house that uses it, with times short enough for tests.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MAIL_TRANSPORT", "smtp".to_owned()),
            ("MAIL_FROM", "Mainstay <no-reply@shop.example>".to_owned()),
            ("SMTP_URL", self.url()),
            ("MAIL_TIMEOUT", "2s".to_owned()),
            ("MAIL_RETRY_WAIT", "200ms".to_owned()),
        ]
    }

    /// The mail it took so far, in order.
    pub(crate) fn mails(&self) -> Vec<Value> {
        let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("a mail");
        self.files("json").iter().map(|path| serde_json::from_str(&read(path)).expect("JSON")).collect()
    }

    /// How often it was asked whether it takes mail for somebody.
    pub(crate) fn asked(&self) -> usize {
        self.files("asked").len()
    }

    /// Waits until it took so many.
    pub(crate) async fn takes(&self, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            assert!(since.elapsed() < WITHIN, "{count} mails should come: {mails:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn files(&self, extension: &str) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).expect("the directory");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|found| found == extension));
        // Their names are times.
        paths.sort();
        paths
    }
}

impl Drop for MailProvider {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nothing out of the ordinary.
pub(crate) fn well() -> Value {
    json!({})
}
