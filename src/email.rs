//! Mail. Until a provider is configured it goes to the outbox: one `.eml` file each in the data directory.
//!
//! A mail may hold a secret, as that of a password reset does, so its text is never logged; the log names the file,
//! which only its owner can read.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{clock::Clock, id};

/// A mail to one person.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject, ASCII.
    pub subject: &'static str,
    /// The text; it may hold a secret.
    pub text: SecretString,
}

/// A way to send mail.
pub trait Transport: std::fmt::Debug + Send + Sync {
    /// Hands a mail over.
    fn send(&self, mail: Mail) -> BoxFuture<'_, anyhow::Result<()>>;
}

/// Mails kept; the oldest goes when another comes.
const MAX_MAILS: usize = 1000;

/// A directory of mails, for development and for operators without a provider.
#[derive(Debug, Clone)]
pub struct Outbox {
    directory: PathBuf,
    clock: Clock,
}

impl Outbox {
    /// The outbox in a directory, which is made when the first mail comes.
    pub fn new(directory: PathBuf, clock: Clock) -> Self {
        Self { directory, clock }
    }

    fn write(&self, mail: &Mail) -> anyhow::Result<PathBuf> {
        let now = self.clock.now();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let id = id::new(now);
        // UUIDv7: the names sort by time.
        let path = self.directory.join(format!("{id}.eml"));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let to: String = mail.to.chars().filter(|character| !character.is_control()).collect();
        let (date, subject) = (now.to_rfc2822(), mail.subject);
        let text = mail.text.expose_secret().replace('\n', "\r\n");
        // RFC 5322; a bare text in UTF-8 (RFC 2045).
        write!(
            file,
            "From: Mainstay <no-reply@localhost>\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\n\
             Message-ID: <{id}@localhost>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n"
        )?;
        self.prune()?;
        Ok(path)
    }

    fn prune(&self) -> std::io::Result<()> {
        let mut mails =
            fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        mails.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        mails.sort_unstable();
        let over = mails.len().saturating_sub(MAX_MAILS);
        mails[..over].iter().try_for_each(fs::remove_file)
    }
}

impl Transport for Outbox {
    fn send(&self, mail: Mail) -> BoxFuture<'_, anyhow::Result<()>> {
        let outbox = self.clone();
        async move {
            let written = tokio::task::spawn_blocking(move || outbox.write(&mail)).await?;
            let path = written.context("writing a mail into the outbox")?;
            tracing::info!(target: "mail", file = %path.display(), "a mail is in the outbox");
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mail_is_a_file_that_only_its_owner_reads() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::new(directory.path().join("outbox"), Clock::default());
        let to = "a@b.example\r\nBcc: c@d.example".to_owned();
        outbox.send(Mail { to, subject: "Hello", text: "one\ntwo".into() }).await.expect("sent");
        let entry =
            fs::read_dir(directory.path().join("outbox")).expect("made").next().expect("one").expect("readable");
        assert_eq!(entry.metadata().expect("is there").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(entry.path()).expect("text");
        assert!(text.contains("\r\n\r\none\r\ntwo\r\n"), "{text}");
        assert!(!text.contains("\nBcc:"), "no header of the caller's making: {text}");
    }
}
