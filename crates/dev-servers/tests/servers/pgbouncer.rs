//! PgBouncer: it serves every database of its Postgres, also after a restart, and ends when its value is dropped.

use mainstay_dev_servers::{Options, PgBouncer, Postgres};

use super::{TestResult, query};

#[tokio::test]
async fn pgbouncer_leads_to_every_database_and_ends() -> TestResult {
    let postgres = Postgres::start(Options::temporary()).await?;
    postgres.create_database("other", None).await?;
    let mut pooler = PgBouncer::start(postgres.url(), &[("pool_mode", "transaction")]).await?;
    for database in ["mainstay", "other"] {
        assert_eq!(query(&pooler.url(database), "SELECT current_database()").await?, database);
    }
    let version = query(&pooler.console(), "SHOW VERSION").await?;
    assert!(version.starts_with("PgBouncer "), "{version}");
    let url = pooler.url("other");
    pooler.restart().await?;
    assert_eq!(query(&url, "SELECT current_database()").await?, "other");
    drop(pooler);
    assert!(query(&url, "SELECT 1").await.is_err());
    Ok(())
}
