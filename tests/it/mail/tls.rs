//! Mail is sent encrypted to a provider with a trusted certificate, or not at all.

use std::sync::Arc;

use super::{PENDING, SENT, count_in_state, process, text, wait_for_at_least, wait_for_mails};
use crate::{
    cases::{Scene, order::order},
    support::{
        TestDatabase,
        mail::{Encryption, MailProvider},
    },
    tls::certificates::Authority,
};

async fn is_encrypted(how: &'static str) {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let pair = authority.server();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (certificate, key) = (file("server.pem", &pair.certificate), file("server.key", &pair.key));
    let trusted = file("ca.pem", &authority.certificate);
    let provider = MailProvider::with(Some(Encryption { how, certificate, key })).await;
    let database = Arc::new(TestDatabase::new().await);

    // A server that does not trust the provider's authority does not send.
    let wary = process(&database, &provider, &[]).await;
    let scene = Scene::at(&wary, &database).await;
    order(&scene).await;
    wait_for_at_least(&database, "SELECT max(attempts) FROM mails", 1).await;
    wait_for_at_least(&database, "SELECT count(failure) FROM mails", 1).await;
    let why = text(&database, "SELECT failure FROM mails").await;
    assert!(why.contains("certificate"), "{why}");
    assert_eq!((count_in_state(&database, PENDING).await, provider.attempts()), (1, 0));
    drop(wary);

    let _trusting = process(&database, &provider, &[("SSL_CERT_FILE", &trusted)]).await;
    wait_for_mails(&database, SENT, 1).await;
    let mails = provider.mails();
    assert!(mails.len() == 1 && mails[0]["encrypted"] == true && mails[0]["user"] == true, "{mails:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_sent_over_implicit_tls() {
    is_encrypted("implicit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_sent_over_starttls() {
    is_encrypted("starttls").await;
}

/// A provider without encryption gets nothing, not even the password.
#[tokio::test(flavor = "multi_thread")]
async fn mail_is_not_sent_without_encryption() {
    let (provider, database) = (MailProvider::start().await, Arc::new(TestDatabase::new().await));
    let url = provider.url().replace("tls=none", "tls=required");
    let server = process(&database, &provider, &[("SMTP_URL", &url)]).await;
    let scene = Scene::at(&server, &database).await;
    order(&scene).await;
    wait_for_at_least(&database, "SELECT count(failure) FROM mails", 1).await;
    let why = text(&database, "SELECT failure FROM mails").await;
    assert!(why.contains("STARTTLS"), "{why}");
    assert_eq!((count_in_state(&database, PENDING).await, provider.attempts()), (1, 0));
}
