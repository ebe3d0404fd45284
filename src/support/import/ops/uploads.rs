//! The slots for uploads, and the pace that keeps one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mainstay_kernel::error::{Error, Reason, Result};
use tokio::time::Instant;
use uuid::Uuid;

/// When to try again.
const LATER: Duration = Duration::from_secs(5);
/// The longest wait for the next piece, and what an upload may lag behind the slowest pace.
const PATIENCE: Duration = Duration::from_secs(10);
/// The slowest pace, in bytes per second: that of a poor mobile connection.
const SLOWEST: f64 = 8192.0;

/// The slots for uploads. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    total: usize,
    per_principal: usize,
    open: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// The slot of an upload, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    uploads: Uploads,
    principal: Uuid,
}

impl Uploads {
    /// Makes slots, of which one principal gets at most half.
    pub(crate) fn new(total: usize) -> Self {
        Self { total, per_principal: total.div_ceil(2), open: Arc::default() }
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` while the principal has as many as it may, `OVERLOADED` while all are taken.
    pub(crate) fn begin(&self, principal: Uuid) -> Result<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&principal).is_some_and(|&own| own >= self.per_principal) {
            let message = format!("At most {} files may be uploaded at once.", self.per_principal);
            return Err(Error::with_message(Reason::RateLimitExceeded, message).retry_after(LATER));
        }
        if open.values().sum::<usize>() >= self.total {
            return Err(Error::new(Reason::Overloaded).retry_after(LATER));
        }
        *open.entry(principal).or_default() += 1;
        Ok(Slot { uploads: self.clone(), principal })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.uploads.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.principal) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

/// Ends an upload that keeps its slot without sending.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Until when the bytes so far suffice: every byte buys time.
    until: Instant,
}

impl Pace {
    pub(crate) fn start() -> Self {
        Self { until: Instant::now() + PATIENCE }
    }

    /// Notes that bytes have arrived.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.until += Duration::from_secs_f64(bytes as f64 / SLOWEST);
    }

    /// Waits for the next piece.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` if it comes too late, and the errors of `piece`.
    pub(crate) async fn keep<T, E: From<Error>>(&self, piece: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let until = self.until.min(Instant::now() + PATIENCE);
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

    #[test]
    fn one_principal_leaves_slots_to_others() {
        let uploads = Uploads::new(4);
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let own = [uploads.begin(one), uploads.begin(one)].map(|slot| slot.expect("half of the slots"));
        assert_eq!(uploads.begin(one).expect_err("more than half").reason(), Reason::RateLimitExceeded);
        let _others = [uploads.begin(two), uploads.begin(two)].map(|slot| slot.expect("the other half"));
        assert_eq!(uploads.begin(three).expect_err("all are taken").reason(), Reason::Overloaded);
        drop(own);
        uploads.begin(three).expect("a slot that was given back");
    }

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
                pace.received(1024);
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
            pace.received(60_000);
        }
    }
}
