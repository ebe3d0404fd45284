//! The pace that keeps an upload alive.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Reason, Result};

/// The maximum wait for the next piece, and the maximum lag of an upload behind the slowest pace.
const MAX_LAG: Duration = Duration::from_secs(10);
/// The slowest pace, in bytes per second: that of a poor mobile connection.
const SLOWEST: f64 = 8192.0;

/// Ends an upload whose client sends too slowly. A read timeout per piece, as tower or hyper could set, would keep a client
/// that sends a byte at a time.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time for which the bytes so far suffice: every byte extends it.
    until: Instant,
}

impl Pace {
    pub(super) fn start() -> Self {
        Self { until: Instant::now() + MAX_LAG }
    }

    pub(super) fn extend(&mut self, bytes: usize) {
        self.until += Duration::from_secs_f64(bytes as f64 / SLOWEST);
    }

    /// Waits for the next piece.
    /// Errors: `DEADLINE_EXCEEDED` if it comes too late, and the errors of `piece`.
    pub(super) async fn keep<T, E: From<Error>>(&self, piece: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let until = self.until.min(Instant::now() + MAX_LAG);
        tokio::time::timeout_at(until, piece).await.unwrap_or_else(|_| {
            let message = "The upload is too slow: it has to have 8 KiB each second.";
            Err(Error::with_message(Reason::DeadlineExceeded, message).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_idles_or_drips_ends() {
        let pace = Pace::start();
        let began = Instant::now();
        let error = pace.keep(pending::<Result<()>>()).await.expect_err("idle");
        assert_eq!(error.reason(), Reason::DeadlineExceeded);
        assert_eq!(began.elapsed().as_secs(), 10);

        let (mut pace, began) = (Pace::start(), Instant::now());
        let drip = async {
            loop {
                let piece = async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<_, Error>(())
                };
                pace.keep(piece).await?;
                pace.extend(1024);
            }
        };
        let error: Result<()> = drip.await;
        assert!(error.is_err() && (11..13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_over_a_slow_line_goes_on() {
        let mut pace = Pace::start();
        for _ in 0..100 {
            let piece = async {
                tokio::time::sleep(Duration::from_secs(6)).await;
                Ok::<_, Error>(())
            };
            pace.keep(piece).await.expect("in time");
            pace.extend(60_000);
        }
    }
}
