//! The process-level parts of identity: authentication, and the demo account of a private database.

use mainstay_kernel::{
    command::for_operator,
    module::{Process, Purpose},
};

use crate::identity::auth::ops::{DEMO_EMAIL, ensure_demo_account};

/// Starts authentication, and prints how to sign in. A worker authenticates no callers.
pub(super) async fn start(process: &mut Process) -> anyhow::Result<()> {
    let Purpose::Server { url, private_database } = process.purpose.clone() else { return Ok(()) };
    let has_private_database = private_database.is_some();
    super::start(&process.app).await;
    let demo = if has_private_database { for_operator(ensure_demo_account(&process.app).await)? } else { None };
    if let Some((email, password)) = &demo {
        process
            .notice(format!("Demo sign-in, an admin, shown this once:\n\n  e-mail    {email}\n  password  {password}"));
    } else if has_private_database {
        let command = process.command_line("users create-admin you@example.com");
        process.notice(format!(
            "The demo sign-in was shown at the first start. If it is lost, stop this server, and create another admin:\n\n  \
             MAINSTAY_PASSWORD=… {command}"
        ));
    }
    // A configured database has no demo account.
    let email = if has_private_database { DEMO_EMAIL } else { "you@example.com" };
    let (email, password) = demo.unwrap_or_else(|| (email.to_owned(), "…".to_owned()));
    process.suggest(format!(
        "TOKEN=$(curl -s {url}/api/v1/auth/login -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' \\\n  \
         -H 'Content-Type: application/json' | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')"
    ));
    Ok(())
}
