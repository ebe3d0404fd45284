//! The outbox: one `.eml` file per mail in the data directory, for development and for operators without a provider.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use futures_util::{FutureExt as _, future::BoxFuture};

use crate::mail::id::MailId;
use crate::mail::transport::{Failure, OutgoingMail, Sender, Transport};

/// The maximum number of mails; beyond it, the oldest are removed.
const MAX_MAILS: usize = 1000;

/// A directory of mails that only its owner can read.
#[derive(Debug, Clone)]
pub struct Outbox {
    directory: PathBuf,
    from: Sender,
}

impl Outbox {
    /// Creates an outbox in a directory. The directory is created with the first mail.
    pub fn new(directory: PathBuf, from: Sender) -> Self {
        Self { directory, from }
    }

    /// Writes a temporary file and renames it to the mail's id, atomically: a mail that is sent twice exists once, and
    /// a file is never incomplete.
    fn write(&self, id: MailId, text: &[u8]) -> io::Result<PathBuf> {
        // Only this directory is private: the private Postgres runs as another user, who must be able to enter the
        // directory above.
        if let Some(above) = self.directory.parent() {
            fs::create_dir_all(above)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // The ids are UUIDv7, so the names sort by time.
        let path = self.directory.join(format!("{id}.eml"));
        let aside = self.directory.join(format!(".{id}.{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(text)?;
        fs::rename(&aside, &path)?;
        self.prune()?;
        Ok(path)
    }

    fn prune(&self) -> io::Result<()> {
        let mut mails =
            fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        mails.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        mails.sort_unstable();
        let over = mails.len().saturating_sub(MAX_MAILS);
        mails[..over].iter().try_for_each(|mail| match fs::remove_file(mail) {
            // Another process has removed the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
    }
}

impl Transport for Outbox {
    fn send<'a>(&'a self, mail: &'a OutgoingMail) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let text = self.from.write(mail)?.formatted();
            let (outbox, id) = (self.clone(), mail.id);
            let result = tokio::task::spawn_blocking(move || outbox.write(id, &text)).await;
            let unavailable = |why: String| Failure::Unavailable(format!("the outbox can't be written: {why}"));
            let path = result.map_err(|error| unavailable(error.to_string()))?;
            let path = path.map_err(|error| unavailable(error.to_string()))?;
            tracing::info!(mail = %mail.id, file = %path.display(), "a mail was written to the outbox");
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::mail::transport::tests::{mail, sender};

    #[tokio::test]
    async fn a_mail_is_one_file_readable_only_by_its_owner() {
        let directory = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::new(directory.path().join("outbox"), sender());
        for _ in 0..2 {
            outbox.send(&mail("a@b.example", "Hello")).await.expect("sent");
        }
        let files: Vec<_> = fs::read_dir(directory.path().join("outbox")).expect("made").flatten().collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(file.metadata().expect("is there").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(file.path()).expect("text");
        assert!(text.contains("\r\n\r\none\r\ntwo"), "{text}");
        assert!(outbox.send(&mail("nobody", "Hello")).await.is_err());
    }
}
