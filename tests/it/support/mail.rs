//! A mail provider as a process, whose behavior a test controls.

use std::{
    ffi::OsStr,
    process::Child,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::python;

/// A provider; the process and the mail it accepted end with this value.
#[derive(Debug)]
pub(crate) struct MailProvider {
    /// The program, below `tests/processes`.
    program: &'static str,
    child: Option<Child>,
    port: u16,
    encryption: Option<Encryption>,
    directory: tempfile::TempDir,
}

/// The kind of encryption, and the PEM files for it.
#[derive(Debug)]
pub(crate) struct Encryption {
    pub(crate) how: &'static str,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The process needs time to start, and a test machine may be slow.
const WITHIN: Duration = Duration::from_secs(60);

impl MailProvider {
    /// Starts a provider that accepts unencrypted mail.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts a provider that requires encryption, if any is given.
    pub(crate) async fn with(encryption: Option<Encryption>) -> Self {
        Self::of("mail_server", encryption).await
    }

    /// Starts a provider with the HTTP APIs of Resend, SendGrid and Amazon SES.
    pub(crate) async fn api() -> Self {
        Self::of("mail_api", None).await
    }

    async fn of(program: &'static str, encryption: Option<Encryption>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut provider = Self { program, child: None, port: 0, encryption, directory };
        provider.restart().await;
        provider
    }

    /// The environment of an app that sends mail through one of the HTTP APIs.
    pub(crate) fn api_variables(&self, transport: &str) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{}", self.port);
        let smtp = ["MAIL_TRANSPORT", "SMTP_URL"];
        let mut variables: Vec<_> = self.variables().into_iter().filter(|(name, _)| !smtp.contains(name)).collect();
        variables.extend([
            ("MAIL_TRANSPORT", transport.to_owned()),
            ("RESEND_API_KEY", "re_sesame".to_owned()),
            ("RESEND_BASE_URL", url.clone()),
            ("SENDGRID_API_KEY", "SG.sesame".to_owned()),
            ("SENDGRID_BASE_URL", url.clone()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDSESAME".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "aws-sesame".to_owned()),
            ("SES_BASE_URL", url),
        ]);
        variables
    }

    /// Restarts the provider after [`MailProvider::kill`], on the same port.
    pub(crate) async fn restart(&mut self) {
        let port = self.port.to_string();
        let mut arguments = vec![self.directory.path().as_os_str(), OsStr::new(&port)];
        if let Some(Encryption { how, certificate, key }) = &self.encryption {
            arguments.extend([certificate.as_str(), key.as_str(), how].map(OsStr::new));
        }
        let (child, port) = python::start("MAIL_SERVER_PYTHON", self.program, &arguments).await;
        (self.child, self.port) = (Some(child), port);
    }

    /// Kills the provider.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().expect("our own child");
        }
    }

    /// Sets the behavior from now on.
    pub(crate) fn behave(&self, behaviour: &Value) {
        let (path, aside) = (self.directory.path().join("behaviour"), self.directory.path().join("aside"));
        std::fs::write(&aside, behaviour.to_string()).expect("written");
        std::fs::rename(aside, path).expect("in its place");
    }

    /// The provider's URL, with credentials.
    pub(crate) fn url(&self) -> String {
        match self.encryption.as_ref().map(|encryption| encryption.how) {
            None => format!("smtp://mainstay:sesame@127.0.0.1:{}?tls=none", self.port),
            Some("starttls") => format!("smtp://mainstay:sesame@localhost:{}?tls=required", self.port),
            Some(_) => format!("smtps://mainstay:sesame@localhost:{}", self.port),
        }
    }

    /// The environment of an app that uses this provider, with timeouts short enough for tests.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MAIL_TRANSPORT", "smtp".to_owned()),
            ("MAIL_FROM", "Mainstay <no-reply@shop.example>".to_owned()),
            ("PUBLIC_URL", "https://api.shop.example".to_owned()),
            ("SMTP_URL", self.url()),
            ("MAIL_TIMEOUT", "4s".to_owned()),
            ("MAIL_RETRY_WAIT", "200ms".to_owned()),
        ]
    }

    /// The mail accepted so far, in order.
    pub(crate) fn mails(&self) -> Vec<Value> {
        // SMTP uses CRLF line endings.
        let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("a mail").replace(r"\r\n", r"\n");
        self.files("json").iter().map(|path| serde_json::from_str(&read(path)).expect("JSON")).collect()
    }

    /// Returns the number of recipients that the provider was asked to accept.
    pub(crate) fn attempts(&self) -> usize {
        self.files("attempt").len()
    }

    /// Waits until the provider has accepted this many mails.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
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
        paths.retain(|path| path.extension().is_some_and(|other| other == extension));
        // The file names are timestamps.
        paths.sort();
        paths
    }
}

impl Drop for MailProvider {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The token in the link of a mail.
pub(crate) fn token(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("text");
    let (_, rest) = text.split_once("?token=").unwrap_or_else(|| panic!("no link: {text}"));
    rest.split_whitespace().next().expect("a token").to_owned()
}

/// Normal behavior.
pub(crate) fn well() -> Value {
    json!({})
}
