//! Postgres: persistent and temporary clusters.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_dev_servers::{Error, Options, Postgres};
use nix::unistd::{getpgid, getpid};

use super::{TestResult, accessible_dir, dir_with, pid_of, query, wait_for_exit};

#[tokio::test]
async fn data_survives_a_restart_and_the_directory_has_one_holder() -> TestResult {
    let dir = accessible_dir()?;
    let home = dir.path().join("postgres");
    let first = Postgres::start(Options::persistent(&home)).await?;
    let pid = pid_of(first.pid().ok_or("no pid")?);
    query(first.url(), "CREATE TABLE kept AS SELECT 'still here' AS word").await?;
    assert_eq!(query(first.url(), "SHOW fsync").await?, "on");
    assert_eq!(query(first.url(), "SELECT lower('ÄRGER')").await?, "ärger");
    let password = std::fs::read_to_string(home.join("password"))?;
    assert!(!format!("{first:?}").contains(&password), "logs must not carry it");
    assert_eq!(getpgid(Some(pid))?, pid, "a terminal's Ctrl-C must not reach it");

    let second = Postgres::start(Options::persistent(&home)).await;
    let message = second.expect_err("two servers on one directory").to_string();
    assert!(message.contains(&format!("process {}", getpid())), "{message}");

    first.stop().await;
    wait_for_exit(&[pid]).await;
    let again = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(again.url(), "SELECT word FROM kept").await?, "still here");
    let secret = std::fs::metadata(home.join("password"))?;
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    let wrong = again.url().replace("mainstay:", "mainstay:not-");
    assert!(query(&wrong, "SELECT 1").await.is_err(), "loopback alone grants no access");
    Ok(())
}

#[tokio::test]
async fn leftovers_of_an_earlier_run_do_not_prevent_a_start() -> TestResult {
    let dir = accessible_dir()?;
    let home = dir.path().join("postgres");
    // A kill during initdb.
    std::fs::create_dir_all(home.join("cluster.new/base"))?;
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    // A power failure, after which an unrelated process has the pid. Postgres alone does not start in that case.
    let stale = home.join("cluster/postmaster.pid");
    std::fs::write(&stale, format!("{}\n{}\n", getpid(), home.join("cluster").display()))?;
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    std::fs::write(&stale, "not a pid\n")?;
    let result = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(result, Err(Error::Failed { .. })), "{result:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_password_is_reported_not_replaced() -> TestResult {
    let dir = accessible_dir()?;
    let home = dir.path().join("postgres");
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    std::fs::remove_file(home.join("password"))?;
    let result = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(&result, Err(Error::Damaged(why)) if why.contains("password")), "{result:?}");
    std::fs::write(home.join("password"), "wrong")?;
    let result = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(&result, Err(Error::Damaged(why)) if why.contains("password")), "{result:?}");
    Ok(())
}

/// `scripts/test` excludes this test for users other than root.
#[tokio::test]
async fn a_root_run_reports_the_inaccessible_directory() -> TestResult {
    assert!(nix::unistd::geteuid().is_root(), "only root runs Postgres as another user");
    let dir = dir_with(0o700)?;
    let result = Postgres::start(Options::persistent(dir.path().join("postgres"))).await;
    let message = result.expect_err("the parent is not accessible").to_string();
    assert!(message.contains("can't enter") && message.contains("/var/lib/mainstay"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_temporary_cluster_can_restart_and_clone_and_is_removed() -> TestResult {
    let mut postgres = Postgres::start(Options::temporary().set("work_mem", "5MB")).await?;
    let url = postgres.url().to_owned();
    assert_eq!(query(&url, "SHOW work_mem").await?, "5MB");
    assert_eq!(query(&url, "SHOW fsync").await?, "off");
    let dir = PathBuf::from(query(&url, "SHOW data_directory").await?);

    postgres.create_database("original", None).await?;
    query(&postgres.url_of("original"), "CREATE TABLE t AS SELECT 1 AS one").await?;
    let (left, right) = tokio::join!(
        postgres.create_database("copy \"one\"", Some("original")),
        postgres.create_database("copy_two", Some("original")),
    );
    left?;
    right?;
    assert_eq!(query(&postgres.url_of("copy_two"), "SELECT one FROM t").await?, "1");
    postgres.drop_database("copy \"one\"").await?;
    postgres.drop_database("copy \"one\"").await?;

    let before = postgres.pid();
    postgres.restart().await?;
    assert_ne!(postgres.pid(), before);
    postgres.crash();
    assert!(!postgres.is_running() && postgres.pid().is_none());
    postgres.restart().await?;
    assert_eq!(query(&url, "SELECT 1").await?, "1", "the URL survives a restart");

    let pid = pid_of(postgres.pid().ok_or("no pid")?);
    assert!(dir.parent().is_some_and(Path::exists));
    drop(postgres);
    wait_for_exit(&[pid]).await;
    assert!(!dir.parent().is_some_and(Path::exists), "{} is left over", dir.display());
    Ok(())
}

#[tokio::test]
async fn a_standby_follows_until_it_is_promoted() -> TestResult {
    let primary = Postgres::start(Options::temporary().set("shared_buffers", "64MB")).await?;
    query(primary.url(), "CREATE TABLE kept AS SELECT 'before' AS word").await?;
    let standby = primary.standby().await?;
    assert_eq!(query(standby.url(), "SELECT word FROM kept").await?, "before");
    query(primary.url(), "UPDATE kept SET word = 'after'").await?;
    while query(standby.url(), "SELECT word FROM kept").await? != "after" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(query(standby.url(), "UPDATE kept SET word = 'here'").await.is_err(), "a standby is read only");

    let frozen = standby.freeze();
    let answer = tokio::time::timeout(Duration::from_millis(500), query(standby.url(), "SELECT 'thawed'")).await;
    assert!(answer.is_err(), "a frozen server answers nothing");
    drop(frozen);
    assert_eq!(query(standby.url(), "SELECT 'thawed'").await?, "thawed");

    query(standby.url(), "SELECT pg_promote()::text").await?;
    query(standby.url(), "UPDATE kept SET word = 'here'").await?;
    assert_eq!(query(primary.url(), "SELECT word FROM kept").await?, "after");
    Ok(())
}

/// The available memory depends on the machine.
#[tokio::test]
async fn a_cluster_in_memory_leaves_nothing_there() -> TestResult {
    let postgres = Postgres::start(Options::in_memory()).await?;
    let dir = PathBuf::from(query(postgres.url(), "SHOW data_directory").await?);
    assert!(dir.starts_with("/dev/shm") || dir.starts_with(std::env::temp_dir().canonicalize()?), "{}", dir.display());
    postgres.stop().await;
    assert!(!dir.exists(), "{}", dir.display());
    Ok(())
}
