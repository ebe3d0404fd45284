//! Facts about a request that inner layers find, for its log line and its span.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use crate::{
    caller::{Caller, ClientAddress},
    contract::Method,
    http::middleware::layer::Request,
};

/// The facts about a request, as a request extension. Each is set once, on the way in.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) client: OnceLock<IpAddr>,
    pub(super) method: OnceLock<&'static Method>,
    pub(super) caller: OnceLock<Caller>,
}

pub(super) fn attach(request: &mut Request) -> Arc<Record> {
    let record = Arc::<Record>::default();
    request.extensions_mut().insert(record.clone());
    record
}

pub(super) fn client(request: &Request, address: ClientAddress) {
    set(request, |record| &record.client, address.0);
}

pub(super) fn method(request: &Request, method: &'static Method) {
    set(request, |record| &record.method, method);
}

pub(super) fn caller(request: &Request, caller: &Caller) {
    set(request, |record| &record.caller, caller.clone());
}

pub(super) fn of(request: &Request) -> Option<Arc<Record>> {
    request.extensions().get().cloned()
}

fn set<T>(request: &Request, field: impl FnOnce(&Record) -> &OnceLock<T>, value: T) {
    if let Some(record) = request.extensions().get::<Arc<Record>>() {
        // A second value is equal to the first.
        field(record).set(value).ok();
    }
}
