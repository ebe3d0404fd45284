//! Streams of watch RPCs: live changes of the resources that the caller reaches.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, future::BoxFuture, stream};
use rand::Rng as _;
use tokio::time::{Instant, sleep_until};
use tonic::{Response, Status};
use uuid::Uuid;

use super::Call;
use crate::{
    app::App,
    caller::Visibility,
    changes::{Cursor, Entry, Feed, Page, RecordedChange, Watch},
    context,
    database::Connection,
    error::Result,
};

/// The messages of a watch.
pub type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// After this time without a message, the caller receives a current token. Proxies thus close no idle stream.
const POSITION_INTERVAL: Duration = Duration::from_secs(60);

const MAX_WATCH_TIME: Duration = Duration::from_secs(600);

/// The payload of a watch message.
#[derive(Debug, Clone)]
pub enum Event<T> {
    /// A resource was created or changed; its present state.
    Changed(T),
    /// The resource with this id was deleted.
    Deleted(Uuid),
    /// No change; the message only carries a token.
    Position,
}

/// Reads resources by their ids.
pub type LoadFn<T> = for<'c> fn(&'c mut Connection, Vec<Uuid>) -> BoxFuture<'c, Result<Vec<T>>>;

/// A watchable kind of resource.
#[derive(Debug)]
pub struct Topic<T: 'static> {
    /// The topic name in the recorded changes.
    pub name: &'static str,
    /// Reads resources by their ids, regardless of visibility.
    pub load: LoadFn<T>,
    /// Returns the id and the version of a resource.
    pub version: fn(&T) -> (Uuid, i64),
}

impl<T: Clone + Send + Sync + 'static> Topic<T> {
    /// Streams the changes of the resources that the caller reaches, from the position of the caller's token or from
    /// the present. A watch from the present begins with a message that carries its position, so that a caller who
    /// lists afterwards misses no change. Successive changes of a resource may be merged into one message.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a token of another stream, `RESUME_TOKEN_EXPIRED`, and any error of Postgres. Later
    /// errors end the stream.
    pub async fn watch<R, M: Send + 'static>(
        &'static self,
        app: &App,
        call: &Call<R>,
        token: &str,
        render: impl Fn(Event<T>, String) -> M + Clone + Send + Sync + 'static,
    ) -> Result<Response<Messages<M>>> {
        let visibility = call.permit()?.visibility();
        let of_messages = (app.clone(), render.clone());
        let messages = move |page, seal| {
            let (app, render) = of_messages.clone();
            let messages: BoxFuture<'static, _> = Box::pin(self.messages(app, visibility, page, seal, render));
            messages
        };
        let position = move |token| render(Event::Position, token);
        watch(app, &app.changes, call, token, messages, position).await
    }

    async fn messages<M>(
        &'static self,
        app: App,
        visibility: Visibility,
        page: Page<RecordedChange>,
        seal: Seal,
        render: impl Fn(Event<T>, String) -> M + Send + Sync,
    ) -> Result<Vec<M>> {
        let is_wanted = |entry: &RecordedChange| {
            let change = &entry.change;
            change.topic == self.name && visibility.reaches(change.account, change.principal)
        };
        let entries = latest(page.entries().filter(|entry| is_wanted(entry)));
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        // A deleted resource can't be read.
        let resources = match entries.iter().all(|entry| entry.change.is_deleted) {
            true => Arc::default(),
            false => page.load(self.name, async |entries| self.read(&app, entries).await).await?,
        };
        let event = |entry: &RecordedChange| match entry.change.is_deleted {
            true => Some(Event::Deleted(entry.change.resource)),
            // A resource that has changed again meanwhile is reported with the later change.
            false => resources
                .get(&entry.change.resource)
                .filter(|resource| (self.version)(resource).1 == entry.change.version)
                .map(|resource| Event::Changed(resource.clone())),
        };
        let message = |entry: &RecordedChange| Some(render(event(entry)?, seal(&page.after(entry))));
        Ok(entries.into_iter().filter_map(message).collect())
    }

    /// Reads the changed resources, once for all watchers.
    async fn read(&'static self, app: &App, entries: &[RecordedChange]) -> Result<HashMap<Uuid, T>> {
        let changes = entries.iter().map(|entry| &entry.change);
        let updates = changes.filter(|change| change.topic == self.name && !change.is_deleted);
        let ids: HashSet<_> = updates.map(|change| change.resource).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let resources = app.database.autocommit(async |connection| (self.load)(connection, ids).await).await?;
        Ok(resources.into_iter().map(|resource| ((self.version)(&resource).0, resource)).collect())
    }
}

/// Returns the latest change of each resource, in the order of positions. Versions decide which change is the latest.
/// Positions do not: a transaction may receive its id, which orders positions, long before it changes the resource.
fn latest<'a>(entries: impl Iterator<Item = &'a RecordedChange>) -> Vec<&'a RecordedChange> {
    let order = |entry: &RecordedChange| (entry.change.version, entry.change.is_deleted);
    let mut last = HashMap::<Uuid, &RecordedChange>::new();
    for entry in entries {
        let newest = last.entry(entry.change.resource).or_insert(entry);
        if order(entry) > order(newest) {
            *newest = entry;
        }
    }
    let mut latest: Vec<_> = last.into_values().collect();
    latest.sort_by_key(|entry| entry.position());
    latest
}

/// Seals a position into a token.
pub type Seal = Arc<dyn Fn(&Cursor) -> String + Send + Sync>;

/// Streams the entries of a feed, from the position of the caller's token or from the present. `messages` renders a
/// page, and `position` a message with only a token. The stream ends before the deadline of the call.
pub async fn watch<E: Entry, R, M: Send + 'static>(
    app: &App,
    feed: &Feed<E>,
    call: &Call<R>,
    token: &str,
    messages: impl Fn(Page<E>, Seal) -> BoxFuture<'static, Result<Vec<M>>> + Send + Sync + 'static,
    position: impl Fn(String) -> M + Send + Sync + 'static,
) -> Result<Response<Messages<M>>> {
    // A browser's `EventSource` repeats the same request with `Last-Event-ID`.
    let token = call.last_event_id().unwrap_or(token);
    let (tokens, method) = (app.resume_tokens.clone(), &call.method.path);
    let from = match token {
        "" => None,
        token => Some(tokens.open(token, method, app.clock.now())?),
    };
    let now = Instant::now();
    let state = WatchStream {
        watch: feed.watch(from).await?,
        parts: VecDeque::new(),
        ready: VecDeque::new(),
        seal: Arc::new(move |cursor: &Cursor| tokens.seal(cursor, method)),
        messages: Box::new(messages),
        position: Box::new(position),
        position_at: now,
        end_at: end_at(),
        has_ended: false,
    };
    Ok(Response::new(Box::pin(stream::unfold(state, |mut state| async move {
        let message = state.next().await?;
        Some((message, state))
    }))))
}

/// Returns the end of a watch that begins now. It precedes the deadline, which would end the watch with an error, by a
/// random jitter, so that watches that began together do not end together.
pub fn end_at() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "when a watch ends need not be foreseen")]
    let share = rand::rng().random_range(0.9..0.98);
    Instant::now() + context::remaining().unwrap_or(MAX_WATCH_TIME).mul_f64(share)
}

type MessagesFn<E, M> = Box<dyn Fn(Page<E>, Seal) -> BoxFuture<'static, Result<Vec<M>>> + Send + Sync>;

struct WatchStream<E: Entry, M> {
    watch: Watch<E>,
    parts: VecDeque<Page<E>>,
    ready: VecDeque<M>,
    seal: Seal,
    messages: MessagesFn<E, M>,
    position: Box<dyn Fn(String) -> M + Send + Sync>,
    position_at: Instant,
    end_at: Instant,
    has_ended: bool,
}

enum Step<E: Entry> {
    Page(Result<Page<E>>),
    /// Small enough to stay in memory for a slow caller.
    Part(Page<E>),
    Position,
    End,
}

impl<E: Entry, M> WatchStream<E, M> {
    async fn next(&mut self) -> Option<Result<M, Status>> {
        while !self.has_ended {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            let step = match self.parts.pop_front() {
                Some(part) => Step::Part(part),
                None => self.step().await,
            };
            let messages = match step {
                Step::End => return None,
                Step::Part(part) => (self.messages)(part, self.seal.clone()).await,
                Step::Page(Ok(page)) => {
                    self.parts.extend(page.parts());
                    continue;
                }
                Step::Position => {
                    let token = (self.seal)(&self.watch.advance_to_present());
                    Ok(vec![(self.position)(token)])
                }
                Step::Page(Err(error)) => Err(error),
            };
            match messages {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    self.ready = messages.into();
                    self.position_at = Instant::now() + POSITION_INTERVAL;
                }
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error.into()));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Step<E> {
        let is_current = !self.watch.is_behind();
        tokio::select! {
            biased;
            () = sleep_until(self.end_at) => Step::End,
            () = sleep_until(self.position_at), if is_current => Step::Position,
            page = self.watch.next() => Step::Page(page),
        }
    }
}
