//! Developers can preview every mail; in production the previews are absent.

use std::process::{Command, Stdio};

use crate::support::{TestApp, mail::MailProvider};

async fn get(app: &TestApp, path: &str) -> (u16, String, String) {
    let answer = app.endpoint.http.get(format!("{}{path}", app.endpoint.base())).send().await.expect("an answer");
    let policy = answer.headers().get("content-security-policy").and_then(|value| value.to_str().ok());
    let (status, policy) = (answer.status().as_u16(), policy.unwrap_or_default().to_owned());
    (status, policy, answer.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_is_previewed_while_none_is_really_sent() {
    let app = TestApp::start().await;
    let (status, policy, index) = get(&app, "/dev/mail").await;
    assert!(status == 200 && policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
    let pages: Vec<_> = index.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(pages.len(), 30 * 2 * 2, "{index}");
    for page in pages {
        let (status, _, body) = get(&app, page).await;
        assert!(status == 200 && body.contains("Mainstay"), "{page}: {body}");
    }
    for absent in ["/dev/mail/none.en.html", "/dev/mail/refund.en", "/dev/mail/refund.%2e%2e.html"] {
        assert_eq!(get(&app, absent).await.0, 404, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_preview_where_mail_is_sent() {
    let provider = MailProvider::start().await;
    let app = TestApp::builder().set_all(provider.variables()).start().await;
    assert_eq!(get(&app, "/dev/mail").await.0, 404);
    assert_eq!(get(&app, "/dev/mail/refund.en.html").await.0, 404);
}

/// The reader stops early, like `head`.
#[test]
fn a_reader_of_the_command_may_stop_early() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["mail", "preview"]).env_clear().stdin(Stdio::null()).stdout(writer);
    let ran = command.output().expect("the program runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
