//! Redis: its port, its memory limit and its end.

use mainstay_dev_servers::{Redis, RedisOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{TestResult, pid_of, wait_for_exit};

/// Sends a command in Redis's inline protocol and returns the beginning of the reply.
async fn command(url: &str, text: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("redis://")).await?;
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[tokio::test]
async fn redis_restarts_on_its_port_and_keeps_its_limit() -> TestResult {
    let mut server = Redis::start(RedisOptions { maxmemory_bytes: Some(1), ..RedisOptions::default() }).await?;
    let url = server.url();
    assert!(command(&url, "SET key value").await?.starts_with("-OOM"));
    let before = server.pid();
    server.crash();
    assert!(command(&url, "PING").await.is_err());
    server.restart().await?;
    assert_ne!(server.pid(), before);
    assert_eq!(server.url(), url);
    assert_eq!(command(&url, "PING").await?, "+PONG\r\n");
    let pid = pid_of(server.pid().ok_or("no pid")?);
    server.stop().await;
    wait_for_exit(&[pid]).await;
    Ok(())
}
