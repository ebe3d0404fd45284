//! The job that does it with a sample item.

use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::Result,
    queue::{Handler, Job, ignore_not_found},
    unit_of_work::Work,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    events::SampleItemChanged,
    model::{SampleItem, SampleItemId},
    ops, store,
};

/// Does it with a sample item, after the commit of the transaction that enqueues the job:
/// `queue::enqueue(work.connection().await?, &DoItSampleItem { … })`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DoItSampleItem {
    /// The sample item.
    pub sample_item: SampleItemId,
    /// Its version; a sample item that has changed meanwhile is left as it is.
    pub version: i64,
}

impl Job for DoItSampleItem {
    const NAME: &'static str = "my_module.do_it_sample_item";
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.sample_item.0
    }
}

impl Handler for DoItSampleItem {
    /// A job runs at least once. The version makes it idempotent.
    async fn run(self, app: &App, _stop: &CancellationToken) -> Result<()> {
        let Self { sample_item: id, version } = self;
        let transaction = app.database.transaction(async move |work: &mut Work| {
            let lock = async |connection: &Connection| store::lock(connection, Visibility::All, id).await;
            let sample_item = work.read(lock).await?;
            if sample_item.version != version {
                return Ok(());
            }
            let next = SampleItem { version: version + 1, updated_at: work.now(), ..sample_item };
            store::update(work.connection().await?, &next).await?;
            ops::record::<SampleItemChanged>(work, &next, false);
            Ok(())
        });
        ignore_not_found(transaction.await)
    }
}
