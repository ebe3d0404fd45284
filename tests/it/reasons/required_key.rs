//! Required idempotency keys: the middleware that enforces them, with every form of key.

use std::convert::Infallible;

use mainstay_kernel::{
    caller::IdempotencyKey,
    contract::{
        Method, Reason,
        policy::{ErrorFormat, Idempotency},
        status,
    },
    error::ReasonRef,
    http::middleware::{
        idempotency_key::ReadIdempotencyKey,
        layer::{Body, MiddlewareLayer, Request, Response},
    },
};
use tonic::Status;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{method, modules};

/// `TicketService.CreateTicket`, as if it required a key.
fn method_that_requires_a_key() -> &'static Method {
    let method = method("TicketService.CreateTicket");
    Box::leak(Box::new(Method {
        path: method.path.clone(),
        name: method.name.clone(),
        title: method.title.clone(),
        descriptor: method.descriptor.clone(),
        access: method.access,
        grants: method.grants.clone(),
        idempotency: Idempotency::Required,
        rate_class: method.rate_class,
        deadline: method.deadline,
        success: Vec::new(),
        version: None,
        identity: None,
        last_modified: None,
        cache: method.cache,
        public_cache: None,
        max_request_bytes: None,
        media_types: Vec::new(),
        conditional: false,
        read_mask: None,
        include: None,
        watch: false,
        effect: method.effect,
        subject: method.subject.clone(),
        max_auth_age: None,
        before_second_factor: false,
        in_person: false,
        deprecation: None,
        error_format: ErrorFormat::Unspecified,
    }))
}

async fn read_key(key: Option<&str>) -> Result<Option<String>, ReasonRef> {
    let inner = service_fn(|request: Request| async move {
        let key = request.extensions().get::<IdempotencyKey>().map(|key| key.0.clone());
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(key);
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(method_that_requires_a_key());
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().expect("a header value"));
    }
    let response = MiddlewareLayer(ReadIdempotencyKey).layer(inner).oneshot(request).await.expect("never fails");
    match Status::from_header_map(response.headers()) {
        Some(status) => Err(status::reason(&modules().contract.catalogue, &status)),
        None => Ok(response.extensions().get::<Option<String>>().cloned().flatten()),
    }
}

#[tokio::test]
async fn idempotency_key_missing() {
    assert_eq!(read_key(None).await, Err(ReasonRef::new(Reason::IdempotencyKeyMissing)));
    assert_eq!(read_key(Some("a-key")).await, Ok(Some("a-key".to_owned())));
    assert_eq!(read_key(Some(r#""a\"key""#)).await, Ok(Some("a\"key".to_owned())), "quoted, as the IETF draft has it");
    for malformed in ["", "two words", "\"open", "\"a\\b\"", &"x".repeat(256)] {
        assert_eq!(read_key(Some(malformed)).await, Err(ReasonRef::new(Reason::MalformedRequest)), "{malformed:?}");
    }
}
