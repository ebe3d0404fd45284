//! The disk space of uploads, which all uploads share. A limit on their number alone, as tower's, would divide no bytes among
//! principals: a few uploads of the largest size would use up the disk.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    error::{Error, Reason, Result},
    fair_share::{FairShare, Full, Rule, Share},
};

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The space of uploads. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    space: FairShare<Uuid>,
    max_uploads: usize,
    uploads: FairShare<Uuid>,
}

/// The space that an upload holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Share<Uuid>,
    _upload: Share<Uuid>,
}

impl Spool {
    /// Creates a spool of `max_bytes`, of which one principal has at most half, with at most `max_uploads` concurrent
    /// uploads of a principal.
    pub fn new(max_bytes: usize, max_uploads: usize) -> Self {
        let space = FairShare::new(max_bytes, Rule::Fixed(max_bytes.div_ceil(2)));
        Self { space, max_uploads, uploads: FairShare::new(usize::MAX, Rule::Fixed(max_uploads)) }
    }

    /// Counts an upload of a principal, which has no space yet.
    /// Errors: `RATE_LIMIT_EXCEEDED` beyond `max_uploads`.
    pub(super) fn begin(&self, principal: Uuid) -> Result<Reservation> {
        let upload = self.uploads.take(principal, 1).map_err(|_| {
            let message = format!("At most {} files may be uploaded at once.", self.max_uploads);
            Error::with_message(Reason::RateLimitExceeded, message).retry_after(RETRY_AFTER)
        })?;
        Ok(Reservation { space: self.space.count(principal, 0, ()), _upload: upload })
    }
}

impl Reservation {
    pub(super) fn bytes(&self) -> usize {
        self.space.amount().unwrap_or_default()
    }

    /// Takes more space.
    /// Errors: `OVERLOADED` if none is left, `RATE_LIMIT_EXCEEDED` if the principal would have more than half.
    pub(super) fn grow(&self, bytes: usize) -> Result<()> {
        let full = |full| match full {
            Full::Total => Error::new(Reason::Overloaded),
            Full::Key(_) => Error::with_message(Reason::RateLimitExceeded, "Too much is being uploaded at once."),
        };
        self.space.add(bytes).map_err(|bound| full(bound).retry_after(RETRY_AFTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_principal_leaves_space_to_others() {
        let spool = Spool::new(100, 2);
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let own = [spool.begin(one), spool.begin(one)].map(|space| space.expect("two"));
        assert_eq!(spool.begin(one).expect_err("a third").reason(), Reason::RateLimitExceeded);
        own[0].grow(30).expect("space");
        own[1].grow(20).expect("half of the space");
        assert_eq!(own[1].grow(1).expect_err("more than half").reason(), Reason::RateLimitExceeded);
        let other = spool.begin(two).expect("one");
        other.grow(50).expect("the other half");
        let last = spool.begin(three).expect("one that sends nothing yet");
        assert_eq!(last.grow(1).expect_err("no space").reason(), Reason::Overloaded);
        drop(own);
        last.grow(50).expect("space that was given back");
        drop((other, last));
        assert_eq!((spool.uploads.lock().used(), spool.space.lock().used()), (0, 0));
    }

    #[test]
    fn silent_uploads_block_no_other_upload() {
        let spool = Spool::new(100, 2);
        let idle: Vec<_> = (1..1000).map(|number| spool.begin(Uuid::from_u128(number)).expect("one")).collect();
        spool.begin(Uuid::from_u128(2000)).expect("one").grow(50).expect("space");
        drop(idle);
    }
}
