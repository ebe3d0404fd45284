//! Adds the sample data when a server starts on a new private database.

use std::time::{Duration, Instant};

use mainstay_kernel::{
    app::App,
    command::for_operator,
    module::{PrivateDatabase, Process, Purpose},
};

use crate::sample::ops::{self, State};

/// The maximum time for adding the sample data before jobs begin.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Adds the sample data to a new private database once the server listens. If that was interrupted, the next start begins
/// again, unless a person has signed in, who may have added data to the sample accounts, or scheduled tasks have run.
pub(super) async fn start(process: &mut Process) -> anyhow::Result<()> {
    let Purpose::Server { private_database: Some(database), .. } = process.purpose else { return Ok(()) };
    let PrivateDatabase { is_new, takes_samples } = database;
    let state = for_operator(ops::state(&process.app).await)?;
    let is_unused = is_new && !for_operator(ops::is_used(&process.app).await)?;
    let begins = takes_samples && is_unused && state != State::Complete;
    if begins {
        let app = process.app.clone();
        process.before_jobs(async move { add(&app).await });
        process.notice("Sample data is being added, in the background. `serve --empty` starts without it.");
    } else if state == State::Partial {
        process.notice(format!(
            "The sample data is incomplete: once this server is stopped, `{}` completes it.",
            process.command_line("sample add")
        ));
    }
    if begins || state != State::Absent {
        let command = process.command_line("sample remove");
        process.notice(format!("Once this server is stopped, `{command}` removes the sample data."));
    }
    Ok(())
}

/// Adds the sample data. A failure is only logged.
async fn add(app: &App) {
    let since = Instant::now();
    match tokio::time::timeout(TIME_LIMIT, ops::add(app)).await {
        Ok(Ok(())) => tracing::info!(duration_ms = since.elapsed().as_millis(), "the sample data is complete"),
        Ok(Err(error)) => tracing::warn!(error = error.detail(), "the sample data could not be added"),
        Err(_) => tracing::warn!("the sample data took too long, and is not complete"),
    }
}
