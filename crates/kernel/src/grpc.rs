//! RPC bodies: read the message, make one call, write the response.
//!
//! [`Call`] is an admitted request: the validated message, the permit, the idempotency claim, and If-Match. A service
//! turns the message into model types, passes them to one operation, and renders its result. It sets no status and no
//! header; [`response`] derives those.

mod codec;
pub mod mask;
pub mod page;
pub mod parse;
pub mod render;
mod response;
pub mod watch;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use mainstay_transcoder::MatchedRoute;
use prost::Message;
use prost_types::FieldMask;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Extensions, Request, Response, Status, metadata::MetadataMap, service::Routes};
use uuid::Uuid;

use crate::{
    app::App,
    caller::{ClientAddress, IdempotencyKey, Permit},
    clock::Clock,
    context::{self, Origin},
    contract::{
        Method, Validate,
        policy::{Effect, Subject},
        proto::common::v1::PageMeta,
    },
    database::{Connection, Reach},
    error::{Error, Reason, Result},
    http::middleware::protocol::X_TRANSCODED,
    large_responses::{Admission, Requester},
    page::{Key, Listed},
    rate_limit::Network,
    unit_of_work::{self, Claim, Committed, Work},
    version::ExpectedVersions,
};

use self::page::Pager;
pub use codec::{BoundedDecoder, Codec};
use mask::ReadMask;

/// The result of an RPC body.
pub type Reply<T> = Result<Response<T>, Status>;

/// An admitted request.
#[derive(Debug)]
pub struct Call<M> {
    /// The validated request message.
    pub message: M,
    /// The method's policy.
    pub method: &'static Method,
    permit: Option<Permit>,
    reach: Reach,
    /// The address of the client. Requests without one bypassed the server's listener; all of them share one.
    client: IpAddr,
    claim: Option<Claim>,
    /// The id of the resource that the request names, for the audit log.
    resource: Option<Uuid>,
    /// The versions that If-Match allows, if it was sent.
    pub if_match: Option<ExpectedVersions>,
    mask: ReadMask,
    last_event_id: Option<String>,
    max_response_bytes: usize,
    /// The admission of the rows that were read, and how many they are.
    rows: OnceLock<(Admission, usize)>,
}

/// Whether a request has reached its method; an extension of the request. Before that, only tonic can have failed it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival(Arc<AtomicBool>);

impl Arrival {
    pub(crate) fn has_arrived(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn record(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Converts an error of a stream of requests. An error of tonic means that it could not read a message.
pub fn unreadable(status: Status) -> Status {
    let unread = status.details().is_empty() && matches!(status.code(), Code::Internal | Code::Unknown);
    match unread {
        true => Error::new(Reason::MalformedRequest).caused_by(status).into(),
        false => status,
    }
}

impl<M: Message + Validate> Call<M> {
    /// Normalizes and validates the request, and takes the permit, the idempotency claim, If-Match, `read_mask` and `include` from it.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` with every violation, or for a path of the mask that is not a field; `INTERNAL_ERROR` for a rule in
    /// CEL that could not be evaluated.
    pub fn admit(request: Request<M>) -> Result<Self> {
        let (metadata, extensions, mut message) = request.into_parts();
        message.normalize();
        message.check_by(extensions.get::<Clock>())?;
        let fingerprint = |message: &M| Sha256::digest(message.encode_to_vec()).into();
        let facts = |message: &M, subject: &Subject| {
            let request = message.encode_to_vec();
            (subject.id(&request).and_then(|id| id.parse().ok()), subject.reason(&request))
        };
        let mut call = Self::take(&metadata, &extensions, message, fingerprint, facts)?;
        call.mask = ReadMask::read(call.method, &call.message)?;
        Ok(call)
    }
}

impl Call<()> {
    /// Takes a streamed request, whose messages were validated as they arrived.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the middleware was bypassed.
    pub fn admit_stream(metadata: &MetadataMap, extensions: &Extensions, fingerprint: [u8; 32]) -> Result<Self> {
        Self::take(metadata, extensions, (), |()| fingerprint, |(), _| (None, None))
    }
}

impl<M> Call<M> {
    /// Takes a request, whose read mask selects everything. `facts` returns the resource and the reason in the request of a
    /// method that writes.
    fn take(
        metadata: &MetadataMap,
        extensions: &Extensions,
        message: M,
        fingerprint: impl FnOnce(&M) -> [u8; 32],
        facts: impl FnOnce(&M, &Subject) -> (Option<Uuid>, Option<String>),
    ) -> Result<Self> {
        if let Some(arrival) = extensions.get::<Arrival>() {
            arrival.record();
        }
        let method = extensions.get::<&'static Method>().copied();
        let method = method.ok_or_else(|| Error::internal(anyhow::anyhow!("the middleware stack was bypassed")))?;
        let permit = extensions.get::<Permit>().cloned();
        let client = extensions.get().map(|&ClientAddress(address)| address);
        let writes = method.effect == Effect::Write && !method.watch;
        let (resource, reason) = if writes { facts(&message, &method.subject) } else { (None, None) };
        if writes {
            context::set_origin(|| origin(method, permit.as_ref(), client, metadata, reason));
        }
        let reach = permit.as_ref().map_or(Reach::across_accounts("no caller"), Reach::of);
        let client = client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let claim = match (extensions.get::<IdempotencyKey>(), &permit) {
            (Some(key), Some(permit)) => Some(Claim::new(method, permit, &key.0, fingerprint(&message))),
            _ => None,
        };
        let if_match = if method.conditional { preconditions(metadata)? } else { None };
        let id = metadata.get("last-event-id").filter(|_| method.watch);
        // One that is no text is no token either.
        let last_event_id = id.map(|id| id.to_str().unwrap_or("?").to_owned()).filter(|id| !id.is_empty());
        let is_rest = extensions.get::<MatchedRoute>().is_some() || metadata.contains_key(X_TRANSCODED.as_str());
        let max_response_bytes = if is_rest { MAX_TRANSCODED_BYTES } else { MAX_RESPONSE_BYTES };
        let (mask, rows) = (ReadMask::default(), OnceLock::new());
        Ok(Self {
            message,
            method,
            permit,
            reach,
            client,
            claim,
            resource,
            if_match,
            mask,
            last_event_id,
            max_response_bytes,
            rows,
        })
    }
}

fn origin(
    method: &'static Method,
    permit: Option<&Permit>,
    client: Option<IpAddr>,
    metadata: &MetadataMap,
    reason: Option<String>,
) -> Origin {
    let user_agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok());
    let origin = Origin { reason, ..Origin::of_client(method.name.as_str(), client, user_agent) };
    match permit {
        Some(permit) => permit.caller().act(origin),
        None => origin,
    }
}

/// Returns the versions that the preconditions of a change accept.
/// Errors: `MALFORMED_REQUEST` for If-Unmodified-Since without If-Match: changes within a second have one time, so that the
/// precondition would not prevent a lost update.
fn preconditions(metadata: &MetadataMap) -> Result<Option<ExpectedVersions>> {
    let list = |name: &'static str| {
        // A line that is not text contains no tag of this server.
        let lines: Vec<_> = metadata.get_all(name).iter().map(|line| line.to_str().unwrap_or("?")).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    let (if_match, if_none_match) = (list("if-match"), list("if-none-match"));
    if if_match.is_none() && metadata.contains_key("if-unmodified-since") {
        let message = "If-Unmodified-Since is not supported: send the ETag of the resource in If-Match.";
        return Err(Error::with_message(Reason::MalformedRequest, message));
    }
    Ok(ExpectedVersions::read(if_match.as_deref(), if_none_match.as_deref()))
}

impl<M> Call<M> {
    /// Returns whether the caller asks for a field of the resource, or for a part of it. A field outside the mask need not be
    /// read, because it is not returned.
    pub fn asks_for(&self, field: &str) -> bool {
        let data = self.method.descriptor.output().get_field_by_name("data");
        let resource = data.and_then(|data| data.kind().as_message().cloned());
        let field = resource.and_then(|resource| resource.get_field_by_name(field));
        field.is_none_or(|field| self.mask.includes(field.number()))
    }

    /// Returns whether the caller asks to include something in the resource: a field of the message in its field `included`.
    pub fn includes(&self, name: &str) -> bool {
        self.mask.composes(name)
    }

    /// Returns the names of the fields to change, from the mask or from the patch in `field`.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a path that is not a field, or if there is nothing to change.
    pub fn update_paths<P: Message>(&self, field: &str, patch: &P, mask: Option<FieldMask>) -> Result<Vec<String>> {
        let descriptor = self.method.descriptor.input().get_field_by_name(field);
        let descriptor = descriptor.and_then(|field| field.kind().as_message().cloned());
        let descriptor = descriptor.ok_or_else(|| Error::internal(anyhow::anyhow!("no patch {field}")))?;
        mask::update_paths(patch, &descriptor, mask)
    }

    /// Returns the caller's permit.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the method is public, which is a bug.
    pub fn permit(&self) -> Result<Permit> {
        self.permit.clone().ok_or_else(|| Error::internal(anyhow::anyhow!("{} is public", self.method.name)))
    }

    /// Returns the rows that Postgres lets the statements of the call reach: those of the caller.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Lets the statements of the call reach the rows of all accounts, for a reason.
    #[must_use]
    pub fn across_accounts(mut self, reason: &'static str) -> Self {
        self.reach = Reach::across_accounts(reason);
        self
    }

    /// Returns the id of the last event that a caller of a watch has received, if it says so.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// Returns the permit of a caller of a public method who reaches more than anyone; `None` for all others.
    pub fn viewer(&self) -> Option<Permit> {
        self.permit.clone()
    }

    /// Runs a write as one unit of work, and responds with what it returns. A repeated request with the same key gets the
    /// stored response.
    ///
    /// # Errors
    /// As [`unit_of_work::run`].
    pub async fn write<R: Message + Default>(
        &self,
        app: &App,
        run: impl AsyncFnOnce(&mut Work) -> Result<R>,
    ) -> Reply<R> {
        self.respond(self.commit(app, run).await?)
    }

    /// As [`Call::write`], for a write that is followed by more, such as a request to a gateway: returns who did the
    /// work, for [`Call::respond`]. A pending operation is to be resolved before that. A response that the client would not
    /// accept is an error before the commit.
    ///
    /// # Errors
    /// As [`unit_of_work::run`]; `PAYLOAD_TOO_LARGE`.
    pub async fn commit<R: Message + Default>(
        &self,
        app: &App,
        run: impl AsyncFnOnce(&mut Work) -> Result<R>,
    ) -> Result<Committed<R>> {
        let (max_bytes, subject, resource) = (self.max_response_bytes, &self.method.subject, self.resource);
        let run = async move |work: &mut Work| {
            let response = within(max_bytes, run(work).await?)?;
            work.audit_call(subject, resource, &response.encode_to_vec());
            Ok(response)
        };
        unit_of_work::run(app, self.reach, self.permit.clone(), self.claim.clone(), run).await
    }

    /// Reads the page fields of the request for a list.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a page that can't be had.
    pub fn pager(&self, app: &App) -> Result<Pager>
    where
        M: Message,
    {
        self.pager_of_at_most(app, Pager::MAX_SIZE)
    }

    /// As [`pager`](Self::pager), for a list whose rows are so large that a page has at most `size` of them.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a page that can't be had.
    pub fn pager_of_at_most(&self, app: &App, size: i64) -> Result<Pager>
    where
        M: Message,
    {
        let (descriptor, request) = (self.method.descriptor.input(), self.message.encode_to_vec());
        Pager::read(&app.page_tokens, &self.method.path, &descriptor, &request, size)
    }

    /// Reads a page of a list: `list` returns the rows, plus one if there are more, and the total unless the page begins
    /// after a key. A page that is likely to be large waits for its turn, before it needs a connection.
    ///
    /// # Errors
    /// `OVERLOADED` if too many large ones wait already, and any error of `list`.
    pub async fn list<T>(
        &self,
        app: &App,
        pager: Pager,
        list: impl AsyncFnOnce(&Connection) -> Result<Listed<T>> + Clone,
        key: impl Fn(&T) -> Key,
    ) -> Result<(Vec<T>, Option<PageMeta>)> {
        let admission = self.admit_rows(app, usize::try_from(pager.page.size).unwrap_or(usize::MAX)).await?;
        let (mut rows, total) = app.database.query(self.reach, list).await?;
        let meta = pager.meta(&app.page_tokens, &mut rows, total, key);
        self.rows.set((admission, rows.len())).ok();
        Ok((rows, Some(meta)))
    }

    /// Reads at most `size` rows that the caller names, as [`Call::list`] reads a page.
    ///
    /// # Errors
    /// `OVERLOADED` if too many large responses wait already, and any error of `batch`.
    pub async fn batch<T>(
        &self,
        app: &App,
        size: usize,
        batch: impl AsyncFnOnce(&Connection) -> Result<Vec<T>> + Clone,
    ) -> Result<Vec<T>> {
        let admission = self.admit_rows(app, size).await?;
        let rows = app.database.query(self.reach, batch).await?;
        self.rows.set((admission, rows.len())).ok();
        Ok(rows)
    }

    async fn admit_rows(&self, app: &App, rows: usize) -> Result<Admission> {
        let requester = match &self.permit {
            Some(permit) => Requester::Principal(permit.caller().limited_as()),
            None => Requester::Anonymous(Network::of(self.client)),
        };
        app.large_responses.admit(&self.method.path, rows, requester).await
    }

    /// Responds with the result of a unit of work.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` for a replay over gRPC of a response that only REST may have; `INTERNAL_ERROR` for a pending
    /// operation that was not resolved.
    pub fn respond<R: Message + Default>(&self, committed: Committed<R>) -> Reply<R> {
        let is_replayed = matches!(committed, Committed::Replayed(_));
        let response = response::respond(self.method, &self.mask, committed)?;
        let (bytes, max_bytes) =
            (if is_replayed { response.get_ref().encoded_len() } else { 0 }, self.max_response_bytes);
        if bytes > max_bytes {
            let message = format!(
                "The change was made by an earlier request, over REST. Its response has {bytes} bytes, and may have \
                 {max_bytes} over gRPC: repeat the request over REST."
            );
            return Err(Error::with_message(Reason::PayloadTooLarge, message).into());
        }
        Ok(response)
    }

    /// Responds to a read.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` if the client would not take the response; `INTERNAL_ERROR` if the read mask can't be applied
    /// to the message, which is a bug.
    pub fn read<R: Message + Default>(&self, message: R) -> Result<Response<R>, Status> {
        let mut response = response::respond(self.method, &self.mask, Committed::Fresh(message))?;
        let bytes = response.get_ref().encoded_len();
        if let Some((admission, rows)) = self.rows.get()
            && let Some(slot) = admission.finish(*rows, bytes)
        {
            response.extensions_mut().insert(slot);
        }
        if bytes > self.max_response_bytes {
            return Err(too_large(self.max_response_bytes, bytes).into());
        }
        Ok(response)
    }
}

/// The largest response over gRPC: its libraries refuse a longer message by default, after the server has done the work.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
/// The largest response in REST, as [`Limits`](mainstay_transcoder::Limits) and Envoy's configuration say.
const MAX_TRANSCODED_BYTES: usize = 16 << 20;

fn within<R: Message>(max_bytes: usize, response: R) -> Result<R> {
    let bytes = response.encoded_len();
    if bytes > max_bytes { Err(too_large(max_bytes, bytes)) } else { Ok(response) }
}

fn too_large(max_bytes: usize, bytes: usize) -> Error {
    let message = format!(
        "The response would have {bytes} bytes, and may have {max_bytes}: send or ask for fewer items at once, or name \
         fewer fields. Nothing was changed."
    );
    Error::with_message(Reason::PayloadTooLarge, message)
}

/// tonic's limit on the size of a message, in addition to the policy's. It also applies to a compressed message of a
/// client stream once it is decompressed; that of a unary call then has the limit of its method.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// A generated gRPC server. `mainstay-build` generates the implementations, because what they call has no trait.
pub trait Server: Sized {
    /// Bounds the messages, and accepts and sends gzip and zstd.
    #[must_use]
    fn configure(self) -> Self;

    /// Adds the server to the routes.
    fn add_to(self, routes: Routes) -> Routes;
}
