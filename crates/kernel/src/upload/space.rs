//! The disk space for uploads, shared by all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::error::{Error, Reason, Result};

/// When to try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The space for uploads. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    max_bytes: usize,
    /// The most uploads of one principal at once.
    max_uploads: usize,
    by_principal: Arc<Mutex<HashMap<Uuid, Usage>>>,
}

/// What one principal uploads.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    uploads: usize,
    bytes: usize,
}

/// The space that an upload holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    spool: Spool,
    principal: Uuid,
    bytes: usize,
}

impl Spool {
    /// Makes a spool of this many bytes, of which one principal gets at most half, for at most `max_uploads` at once.
    pub fn new(max_bytes: usize, max_uploads: usize) -> Self {
        Self { max_bytes, max_uploads, by_principal: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Usage>> {
        self.by_principal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an upload of a principal, which has no space yet.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` beyond `max_uploads`.
    pub(super) fn begin(&self, principal: Uuid) -> Result<Reservation> {
        let mut by_principal = self.lock();
        let own = by_principal.entry(principal).or_default();
        if own.uploads >= self.max_uploads {
            let message = format!("At most {} files may be uploaded at once.", self.max_uploads);
            return Err(Error::with_message(Reason::RateLimitExceeded, message).retry_after(RETRY_AFTER));
        }
        own.uploads += 1;
        Ok(Reservation { spool: self.clone(), principal, bytes: 0 })
    }
}

impl Reservation {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more space.
    ///
    /// # Errors
    /// `OVERLOADED` when there is none left, `RATE_LIMIT_EXCEEDED` when the principal would have more than half.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<()> {
        let Spool { max_bytes, .. } = self.spool;
        let mut by_principal = self.spool.lock();
        let total: usize = by_principal.values().map(|usage| usage.bytes).sum();
        if total + bytes > max_bytes {
            return Err(Error::new(Reason::Overloaded).retry_after(RETRY_AFTER));
        }
        let own = by_principal.entry(self.principal).or_default();
        if own.bytes + bytes > max_bytes.div_ceil(2) {
            let message = "Too much is being uploaded at once.";
            return Err(Error::with_message(Reason::RateLimitExceeded, message).retry_after(RETRY_AFTER));
        }
        own.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut by_principal = self.spool.lock();
        if let Some(own) = by_principal.get_mut(&self.principal) {
            own.uploads -= 1;
            own.bytes -= self.bytes;
            if own.uploads == 0 {
                by_principal.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_principal_leaves_space_to_others() {
        let spool = Spool::new(100, 2);
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let mut own = [spool.begin(one), spool.begin(one)].map(|space| space.expect("two"));
        assert_eq!(spool.begin(one).expect_err("a third").reason(), Reason::RateLimitExceeded);
        own[0].grow(30).expect("space");
        own[1].grow(20).expect("half of the space");
        assert_eq!(own[1].grow(1).expect_err("more than half").reason(), Reason::RateLimitExceeded);
        let mut other = spool.begin(two).expect("one");
        other.grow(50).expect("the other half");
        let mut last = spool.begin(three).expect("one that sends nothing yet");
        assert_eq!(last.grow(1).expect_err("no space").reason(), Reason::Overloaded);
        drop(own);
        last.grow(50).expect("space that was given back");
        drop((other, last));
        assert!(spool.lock().is_empty());
    }

    #[test]
    fn uploads_that_send_nothing_keep_nobody_out() {
        let spool = Spool::new(100, 2);
        let idle: Vec<_> = (1..1000).map(|number| spool.begin(Uuid::from_u128(number)).expect("one")).collect();
        spool.begin(Uuid::from_u128(2000)).expect("one").grow(50).expect("space");
        drop(idle);
    }
}
