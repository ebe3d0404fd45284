//! The live overview of tickets.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream;
use mainstay_kernel::{
    app::App,
    changes::{RecordedChange, Watch},
    error::{Reason, Result},
    grpc::{
        render::time,
        watch::{Messages, end_at},
    },
};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::{
    dashboard::overview::cached::CachedOverviews,
    proto::dashboard::v1::{TicketOverview, WatchTicketOverviewResponse},
    support::ticket::ops::TOPIC,
};

/// The minimum time between two overviews.
const SHORTEST_PERIOD: Duration = Duration::from_secs(5);
/// The maximum time between two overviews, because ages change without changes of tickets.
const LONGEST_PERIOD: Duration = Duration::from_secs(60);

struct OverviewStream {
    app: App,
    watch: Watch<RecordedChange>,
    days: i32,
    last: Option<TicketOverview>,
    /// The time of the last change that the last overview may not include.
    changed_at: Option<DateTime<Utc>>,
    sent_at: Instant,
    next_read_at: Instant,
    end_at: Instant,
}

/// Streams the overview of tickets: now, and after each change.
pub(super) async fn tickets(app: &App, days: i32) -> Result<Messages<WatchTicketOverviewResponse>> {
    let (watch, now) = (app.changes.watch(None).await?, Instant::now());
    // A time before any reading, so the first overview is read at once.
    let (app, changed_at) = (app.clone(), Some(DateTime::UNIX_EPOCH));
    let updates =
        OverviewStream { app, watch, days, last: None, changed_at, sent_at: now, next_read_at: now, end_at: end_at() };
    Ok(Box::pin(stream::unfold(Some(updates), |updates| async move {
        let mut updates = updates?;
        match updates.next().await {
            Ok(overview) => Some((Ok(WatchTicketOverviewResponse { data: Some(overview?) }), Some(updates))),
            Err(error) => Some((Err(Status::from(error)), None)),
        }
    })))
}

impl OverviewStream {
    async fn next(&mut self) -> Result<Option<TicketOverview>> {
        loop {
            let has_changes = self.changed_at.is_some();
            let idle_at = self.sent_at + LONGEST_PERIOD;
            tokio::select! {
                biased;
                () = sleep_until(self.end_at) => return Ok(None),
                () = sleep_until(if has_changes { self.next_read_at } else { idle_at }) => {
                    if let Some(overview) = self.read_if_changed(!has_changes).await? {
                        return Ok(Some(overview));
                    }
                }
                page = self.watch.next() => match page {
                    Ok(page) => {
                        if page.entries().any(|entry| entry.change.topic == TOPIC) {
                            self.changed_at = Some(self.app.clock.now());
                        }
                    }
                    // The next overview includes all missed changes.
                    Err(error) if error.reason() == Reason::WatchLagged => self.changed_at = Some(self.app.clock.now()),
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Reads the overview from the cache; returns it if it has changed, or if the stream was idle for too long.
    async fn read_if_changed(&mut self, is_idle: bool) -> Result<Option<TicketOverview>> {
        let overview = self.app.part::<CachedOverviews>().tickets(&self.app, self.days).await?;
        let now = Instant::now();
        self.next_read_at = now + SHORTEST_PERIOD;
        let is_current = |changed_at: &DateTime<Utc>| {
            let (read, change) = (overview.as_of_time.unwrap_or_default(), time(*changed_at));
            (read.seconds, read.nanos) > (change.seconds, change.nanos)
        };
        if self.changed_at.as_ref().is_some_and(is_current) {
            self.changed_at = None;
        }
        let without_time = |overview: &TicketOverview| TicketOverview { as_of_time: None, ..overview.clone() };
        let is_new = self.last.as_ref().map(without_time) != Some(without_time(&overview));
        if !is_new && !is_idle {
            return Ok(None);
        }
        self.last = Some(overview.clone());
        self.sent_at = now;
        Ok(Some(overview))
    }
}
