//! SSRF protection: keeps connections to user-supplied hosts out of internal networks.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::client::legacy::connect::dns::Name;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower::Service;

pub(crate) const PRIVATE: &str = "the host is not a public one";

/// The most concurrent look-ups. They block threads of the pool that password hashing and files also use, which has
/// 512.
const MAX_LOOK_UPS: usize = 64;

pub(crate) type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Resolves a host, and rejects it unless all its addresses are public. The connection uses exactly these addresses: a
/// second look-up could return others (DNS rebinding).
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) allow_private: bool,
    pub(crate) look_up: LookUp,
}

pub(crate) fn system() -> LookUp {
    limit_concurrency(MAX_LOOK_UPS, |host| Ok((host, 0).to_socket_addrs()?.collect()))
}

/// Converts a blocking look-up to an asynchronous one with at most `most` concurrent runs. Further look-ups wait until
/// their call times out.
fn limit_concurrency(
    most: usize,
    look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> LookUp {
    let (slots, look_up) = (Arc::new(Semaphore::new(most)), Arc::new(look_up));
    Arc::new(move |host: String| {
        let (slots, look_up) = (slots.clone(), look_up.clone());
        async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let task = spawn_blocking(move || {
                // The slot is released when the look-up ends. A timeout of the call can't interrupt the resolver.
                let _slot = slot;
                look_up(&host)
            });
            task.await.map_err(io::Error::other)?
        }
        .boxed()
    })
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, host: Name) -> Self::Future {
        let (addresses, allow_private) = ((self.look_up)(host.as_str().to_owned()), self.allow_private);
        async move {
            let addresses = addresses.await?;
            if allow_private || addresses.iter().all(|address| is_public(address.ip())) {
                Ok(addresses.into_iter())
            } else {
                Err(io::Error::other(PRIVATE))
            }
        }
        .boxed()
    }
}

/// Returns whether an address belongs to the public internet (IANA's special-purpose registries; RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // Carrier-grade NAT, protocol assignments, 6to4 relays, benchmarking.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

/// Accepts only global unicast addresses that are not reserved. An address that embeds an IPv4 address is judged by it:
/// a mapped one, and one below the well-known prefix 64:ff9b::/96, which resolvers return on networks without IPv4
/// (RFC 6052, 3.1). The local prefix 64:ff9b:1::/48 may embed any address and is refused.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, ..] = address.segments();
    let is_translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    if is_translated || address.to_ipv4_mapped().is_some() {
        let [.., w, x, y, z] = address.octets();
        return is_public_v4(Ipv4Addr::new(w, x, y, z));
    }
    let global = (0x2000..0x4000).contains(&a);
    let assigned_to_protocols = a == 0x2001 && b < 0x200;
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    let six_to_four = a == 0x2002;
    global && !assigned_to_protocols && !documentation && !six_to_four
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_abandoned_look_up_keeps_its_slot() {
        const SHORT: Duration = Duration::from_millis(50);
        let (answer, answers) = mpsc::channel::<()>();
        let (answers, began) = (Mutex::new(answers), Arc::<AtomicUsize>::default());
        let count = began.clone();
        let look_up = limit_concurrency(1, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            answers.lock().expect("no panic").recv().expect("an answer");
            Ok(Vec::new())
        });
        for host in ["hangs.example", "waits.example"] {
            timeout(SHORT, look_up(host.to_owned())).await.expect_err("no answer");
        }
        assert!(began.load(Ordering::SeqCst) <= 1);
        for _ in 0..2 {
            answer.send(()).expect("it is waited for");
        }
        assert!(look_up("answers.example".to_owned()).await.expect("an answer").is_empty());
        assert_eq!(began.load(Ordering::SeqCst), 2);
    }
}
