//! With many rows, no list and no lookup scans a table or passes many rows for each that it returns, and totals are exact.
//! `make scale` has a million rows.
//!
//! The statements are the real ones: the store's functions run on a pool of the app, and Postgres logs the plan it used
//! for each (auto_explain). Each list runs often enough for Postgres to weigh a generic plan against plans for the
//! actual values, because a server's connections live that long.

mod audit;
mod changes;
mod ledger;
mod lists;
mod lookups;
mod money;
mod outboxes;
mod plans;
mod posts;
mod server;
mod totals;

use server::Server;

#[tokio::test]
async fn nothing_scans_a_table_and_totals_are_exact_with_many_tickets() -> anyhow::Result<()> {
    let server = Server::start().await?;
    totals::check(&server).await?;
    plans::scan_one(&server).await?;
    lookups::run(&server).await?;
    money::run(&server).await?;
    outboxes::run(&server).await?;
    changes::run(&server).await?;
    let listed = lists::run(&server).await?;
    let plans = server.plans().await?;
    outboxes::check(&plans);
    plans::check(&plans, listed);
    Ok(())
}

#[tokio::test]
async fn nothing_scans_a_table_at_a_hundred_thousand_posts() -> anyhow::Result<()> {
    let server = Server::empty().await?;
    let listed = posts::run(&server).await?;
    plans::scan_one(&server).await?;
    plans::check(&server.plans().await?, listed);
    Ok(())
}

#[tokio::test]
async fn nothing_scans_the_audit_log_with_many_entries() -> anyhow::Result<()> {
    let server = Server::empty().await?;
    let listed = audit::run(&server).await?;
    plans::scan_one(&server).await?;
    plans::check(&server.plans().await?, listed);
    Ok(())
}

#[tokio::test]
async fn revenue_is_exact_and_nothing_scans_the_ledger_with_many_movements() -> anyhow::Result<()> {
    let server = Server::empty().await?;
    ledger::run(&server).await?;
    plans::scan_one(&server).await?;
    // Only the plans of reads; rebuilding the sums scans the ledger deliberately.
    let plans = server.plans().await?;
    let is_reading = |plan: &&serde_json::Value| {
        let text = plan["Query Text"].as_str().unwrap_or_default();
        text.contains("width_bucket") || text.contains(server::WITNESS)
    };
    plans::check(&plans.iter().filter(is_reading).cloned().collect::<Vec<_>>(), 20);
    Ok(())
}
