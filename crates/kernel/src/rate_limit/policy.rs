//! Limit policies, built once from the configuration.

use http::HeaderValue;

use crate::{
    config::{Limits, Quota},
    contract::policy::RateClass,
    rate_limit::gcra::Gcra,
};

/// The ratio between the limit of a site and that of one of its networks. A /48 is the allocation of one household or
/// company, but thousands of phones with separate networks may also share one.
const SITE_FACTOR: u32 = 10;

/// The identity of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyId {
    /// All requests of a network: an IPv4 address, or the /64 of an IPv6 address.
    Address,
    /// All requests of all networks of a site.
    Site,
    /// A user's reads, writes or bulk operations.
    User(Work),
    /// A service principal's reads, writes or bulk operations.
    Service(Work),
}

/// A kind of work with a separate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Imports, exports and batches.
    Bulk,
}

impl Work {
    /// Returns the kind of work of a rate class; `None` for sign-in, which has attempt limits instead.
    pub fn of(class: RateClass) -> Option<Self> {
        match class {
            RateClass::Read => Some(Self::Read),
            RateClass::Write => Some(Self::Write),
            RateClass::Bulk => Some(Self::Bulk),
            RateClass::Login | RateClass::Unspecified => None,
        }
    }
}

/// A limit.
#[derive(Debug)]
pub struct Policy {
    /// The name, for callers and metrics.
    pub name: &'static str,
    /// The number of requests per window. A burst of a quarter is admitted in addition.
    pub quota: Quota,
    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): `"read";q=100;w=60`.
    pub header: HeaderValue,
    /// The limit of all instances together.
    pub(crate) shared: Gcra,
    /// This instance's share, for the time without Redis.
    pub(crate) local: Gcra,
}

impl Policy {
    fn new(name: &'static str, quota: Quota, instances: u32) -> Self {
        let window_s = quota.window.as_millis().div_ceil(1000);
        let header = format!("\"{name}\";q={};w={window_s}", quota.requests);
        let header = HeaderValue::from_str(&header).expect("letters and digits");
        let shared = Gcra::new(quota);
        Self { name, quota, header, shared, local: shared.divided(instances) }
    }
}

#[derive(Debug)]
pub(crate) struct Policies {
    address: Policy,
    site: Policy,
    user: [Policy; 3],
    service: [Policy; 3],
}

impl Policies {
    pub(crate) fn new(limits: &Limits) -> Self {
        let times = |quota: Quota, factor: u32| Quota { requests: quota.requests.saturating_mul(factor), ..quota };
        let work = |factor: u32| {
            [("read", limits.read), ("write", limits.write), ("bulk", limits.bulk)]
                .map(|(name, quota)| Policy::new(name, times(quota, factor), limits.instances))
        };
        Self {
            address: Policy::new("address", limits.address, limits.instances),
            site: Policy::new("address-site", times(limits.address, SITE_FACTOR), limits.instances),
            user: work(1),
            service: work(limits.service_factor.max(1)),
        }
    }

    pub(crate) fn get(&self, id: PolicyId) -> &Policy {
        match id {
            PolicyId::Address => &self.address,
            PolicyId::Site => &self.site,
            PolicyId::User(work) => &self.user[work as usize],
            PolicyId::Service(work) => &self.service[work as usize],
        }
    }
}
