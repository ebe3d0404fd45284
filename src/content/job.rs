//! The job that publishes a post at its time.

use mainstay_kernel::queue::Job;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::content::id::PostId;

/// Publishes a post if it is still scheduled and its time has come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct PublishPost {
    pub(super) post: PostId,
}

impl Job for PublishPost {
    const NAME: &'static str = "publish_post";
    /// Spans some hours, in which an operator can remove the cause of a failure.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.post.0
    }
}
