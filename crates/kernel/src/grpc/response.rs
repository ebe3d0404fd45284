//! Derives the status and the headers of a response from the policy and the message.
//!
//! Everything is derived from the policy and the encoded response, so a replayed response has the same status and
//! headers.

use std::time::{Duration, UNIX_EPOCH};

use prost::Message;
use tonic::{
    Response, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    contract::{
        Method,
        policy::{Cache, FieldPath, FieldValue, LocationPart, PublicCache},
        status::HttpStatus,
    },
    error::Error,
    grpc::mask::ReadMask,
    unit_of_work::Committed,
};

/// Builds the response: the message, with the metadata and extensions that the policy derives from it.
/// Errors: `INTERNAL_ERROR` for a pending operation, which the service must first resolve to its current state.
pub(crate) fn respond<M: Message + Default>(
    method: &Method,
    mask: &ReadMask,
    committed: Committed<M>,
) -> Result<Response<M>, Status> {
    let (message, replayed) = match committed {
        Committed::Fresh(message) => (message, false),
        Committed::Replayed(message) => (message, true),
        Committed::Pending(operation) => {
            return Err(Error::internal(anyhow::anyhow!("operation {operation} was not resolved")).into());
        }
    };
    // Nothing is derived from the bytes of a list, so it is not encoded twice.
    let derived = method.version.is_some()
        || method.public_cache.as_ref().is_some_and(PublicCache::reads_response)
        || method.success.iter().any(|s| s.when.is_some() || !s.location.is_empty());
    let bytes = if derived { message.encode_to_vec() } else { Vec::new() };
    // Masked after the version was read: it counts whether or not the mask includes it.
    let mut response = Response::new(mask.apply(message)?);
    describe(method, mask, &bytes, response.metadata_mut());
    if !mask.fields().is_all() {
        response.extensions_mut().insert(mask.fields().clone());
    }
    if replayed {
        response.metadata_mut().insert("idempotent-replayed", MetadataValue::from_static("true"));
    }
    if let Some(success) = method.success(&bytes) {
        response.extensions_mut().insert(HttpStatus(success.status));
    }
    Ok(response)
}

fn describe(method: &Method, mask: &ReadMask, bytes: &[u8], metadata: &mut MetadataMap) {
    let mut put = |name: &'static str, value: String| {
        // An invalid header value is omitted. None of ours is invalid, and a header should not fail the call.
        if let Ok(value) = MetadataValue::try_from(value) {
            metadata.insert(name, value);
        }
    };
    // What is included changes without the version of the resource.
    let is_versioned = !mask.is_composed();
    if let Some(version) = method.version.as_ref().filter(|_| is_versioned).and_then(|path| path.number(bytes)) {
        let id = method.identity.as_ref().and_then(|path| match path.read(bytes) {
            Some(FieldValue::Bytes(id)) => std::str::from_utf8(id).ok(),
            _ => None,
        });
        put("etag", etag(version, mask.canonical().as_deref(), id));
    }
    let path = method.last_modified.as_ref().filter(|_| is_versioned);
    if let Some(time) = path.and_then(|path| last_modified(path, bytes)) {
        put("last-modified", time);
    }
    put("cache-control", cache_control(method, bytes).to_owned());
    if let Some(public) = method.public_cache.as_ref().filter(|public| public.applies(bytes)) {
        let tags = public.tags(bytes);
        if !tags.is_empty() {
            put("surrogate-key", tags.join(" "));
            put("cache-tag", tags.join(","));
        }
    }
    let Some(success) = method.success(bytes) else { return };
    if !success.location.is_empty() {
        put("location", LocationPart::fill(&success.location, bytes));
    }
    if let Some(wait) = success.retry_after {
        put("retry-after", wait.as_secs().to_string());
    }
}

fn last_modified(path: &FieldPath, bytes: &[u8]) -> Option<String> {
    let Some(FieldValue::Bytes(time)) = path.read(bytes) else { return None };
    let seconds = prost_types::Timestamp::decode(time).ok()?.seconds;
    // Only years up to 9999: `httpdate` panics beyond them.
    let since_epoch = u64::try_from(seconds).ok().filter(|&seconds| seconds < 253_402_300_800)?;
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(since_epoch)))
}

fn cache_control<'m>(method: &'m Method, bytes: &[u8]) -> &'m str {
    match (method.cache, &method.public_cache) {
        (Cache::Public, Some(public)) if public.applies(bytes) => public.header(),
        (Cache::Public | Cache::PrivateRevalidate, _) => "private, no-cache",
        (Cache::NoStore | Cache::Unspecified, _) => "no-store",
    }
}

/// Builds a strong entity tag (RFC 9110, 8.8.3): the row's version, a hash of the read mask, and the id of a resource whose
/// URL does not contain it.
fn etag(version: u64, read_mask: Option<&str>, id: Option<&str>) -> String {
    let mut tag = format!("\"{version}");
    if let Some(mask) = read_mask.filter(|mask| !mask.is_empty()) {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(mask);
        tag += &format!("-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]);
    }
    if let Some(id) = id {
        tag = tag + "-" + id;
    }
    tag + "\""
}
