//! Two instances behind a proxy are replaced one after the other.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mainstay_dev_servers::{HttpProxy, ProxyKind};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{KINDS, path, start};
use crate::{
    cases::file::body,
    support::{Actor, ChildProcess, Endpoint, Process, Protocol, TestDatabase, eventually, people::Cast, unique},
    watch::{Reader, WatchEvent},
};

/// A request to an instance that is ending is repeated under its key, by the proxy or by the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_write_and_repeats_none() {
    for kind in KINDS {
        let fleet = Fleet::start(kind).await;
        let cast = Cast::new(&fleet.endpoint, &fleet.database).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (agent, stop) = (cast.agent.clone(), stop.clone());
            let account = cast.customer.as_user().account.to_string();
            callers.spawn(async move {
                let mut tickets = 0;
                while !stop.load(Ordering::SeqCst) {
                    let key = unique();
                    let draft = json!({ "accountId": account, "subject": "Smoke", "body": "It burns." });
                    let mut attempts = 0;
                    loop {
                        let answer =
                            agent.keyed(Protocol::Rest, "TicketService.CreateTicket", draft.clone(), &key).await;
                        if answer.status == 201 {
                            break;
                        }
                        attempts += 1;
                        assert!(answer.body["error"]["retryable"] == true && attempts < 5, "{kind:?}: {answer:#?}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    tickets += 1;
                }
                tickets
            });
        }
        let fleet = fleet.restart().await;
        stop.store(true, Ordering::SeqCst);
        let mut tickets = 0;
        while let Some(count) = callers.join_next().await {
            tickets += count.expect("no caller failed");
        }
        assert!(tickets > 20, "{tickets}");
        assert_eq!(fleet.database.number("SELECT count(*) FROM tickets").await, tickets);
    }
}

/// Two instances behind a proxy.
struct Fleet {
    database: TestDatabase,
    instances: Vec<(SocketAddr, ChildProcess)>,
    _proxy: HttpProxy,
    endpoint: Endpoint,
}

impl Fleet {
    const SETTINGS: [(&str, &str); 2] = [("TRUSTED_PROXY_HOPS", "1"), ("DRAIN_DELAY", "2s")];

    async fn start(kind: ProxyKind) -> Self {
        let database = TestDatabase::new().await;
        let mut instances = Vec::new();
        for _ in 0..2 {
            let server = Process::with(&database, &Self::SETTINGS).await;
            instances.push((server.endpoint.address, server.into_running()));
        }
        let addresses: Vec<_> = instances.iter().map(|(address, _)| *address).collect();
        let proxy = start(kind, &addresses, "").await;
        let endpoint = Endpoint::new(proxy.addresses()[0]);
        eventually("the proxy serves", async || endpoint.get("/readyz").await.status == 200).await;
        Self { database, instances, _proxy: proxy, endpoint }
    }

    /// Replaces one instance after the other.
    async fn restart(mut self) -> Self {
        for (address, instance) in &mut self.instances {
            tokio::time::sleep(Duration::from_secs(1)).await;
            instance.signal(Signal::SIGTERM);
            let status = instance.wait().await;
            assert!(status.success(), "{status}: {}", instance.log());
            let listen = address.to_string();
            let settings = [&Self::SETTINGS[..], &[("LISTEN_ADDR", &*listen)]].concat();
            *instance = Process::with(&self.database, &settings).await.into_running();
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        self
    }
}

/// Watches tickets from a token on until `stop`, and after it once more; returns the ids of all that were seen, and how often the
/// watch began again.
async fn watch_on(agent: Actor, mut token: String, stop: Arc<AtomicBool>) -> (BTreeSet<String>, usize) {
    let (mut seen, mut began) = (BTreeSet::new(), 0);
    loop {
        let is_last = stop.load(Ordering::SeqCst);
        let Ok(mut changes) = Reader::try_open(&agent, Protocol::Rest, "TicketService.WatchTickets", &token).await
        else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        began += 1;
        // A watch that is up to date is silent.
        while let Ok(event) = tokio::time::timeout(Duration::from_secs(2), changes.next()).await {
            let WatchEvent::Message(message) = event else { break };
            token = crate::watch::token(&message);
            seen.extend(message["data"]["id"].as_str().map(str::to_owned));
        }
        if is_last {
            return (seen, began);
        }
    }
}

/// Downloads slowly until `stop`, and continues where an answer ends early; returns the number of complete contents.
async fn download_on(endpoint: Endpoint, url: String, expected: Vec<u8>, stop: Arc<AtomicBool>) -> usize {
    let mut complete = 0;
    while !stop.load(Ordering::SeqCst) {
        let mut content = Vec::new();
        while content.len() < expected.len() {
            let part = endpoint.http.get(&url).header("range", format!("bytes={}-", content.len()));
            let Ok(mut part) = part.send().await else { continue };
            assert!([206, 502, 503].contains(&part.status().as_u16()), "{part:?}");
            if part.status() != 206 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            while let Ok(Some(piece)) = part.chunk().await {
                content.extend_from_slice(&piece);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(content == expected, "{} bytes and not {}", content.len(), expected.len());
        complete += 1;
    }
    complete
}

/// A watch ends with its instance, and resumes on another one without a gap. A download is complete.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_and_a_download_survive_a_rolling_restart() {
    for kind in KINDS {
        let fleet = Fleet::start(kind).await;
        let cast = Cast::new(&fleet.endpoint, &fleet.database).await;
        let content: Vec<u8> = (0..5 << 20).map(|number: u32| number.to_le_bytes()[1]).collect();
        let upload = json!({ "name": "large.bin", "file": body("application/octet-stream", content.clone()) });
        let id = cast.customer.rest("FileService.UploadFile", upload).await.success().id();
        let link = json!({ "fileId": id });
        let link = cast.customer.rest("FileService.DownloadFile", link).await.success();
        let url = format!("{}{}", fleet.endpoint.base(), path(&link.text("/data/url")));
        let stop = Arc::new(AtomicBool::new(false));
        let mut changes = Reader::open(&cast.agent, Protocol::Rest, "TicketService.WatchTickets", "").await;
        let token = crate::watch::token(&changes.message().await);
        let watching = tokio::spawn(watch_on(cast.agent.clone(), token, stop.clone()));
        let downloading = tokio::spawn(download_on(fleet.endpoint.clone(), url, content, stop.clone()));
        let writing = tokio::spawn({
            let (agent, stop) = (cast.agent.clone(), stop.clone());
            let account = cast.customer.as_user().account.to_string();
            async move {
                let mut tickets = BTreeSet::new();
                while !stop.load(Ordering::SeqCst) {
                    let (key, draft) =
                        (unique(), json!({ "accountId": account, "subject": "Smoke", "body": "It burns." }));
                    for attempt in 0.. {
                        let answer =
                            agent.keyed(Protocol::Rest, "TicketService.CreateTicket", draft.clone(), &key).await;
                        if answer.status == 201 {
                            tickets.insert(answer.id());
                            break;
                        }
                        assert!(answer.body["error"]["retryable"] == true && attempt < 5, "{kind:?}: {answer:#?}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                tickets
            }
        });
        let _fleet = fleet.restart().await;
        stop.store(true, Ordering::SeqCst);
        let tickets = writing.await.expect("no panic");
        let downloads = downloading.await.expect("no panic");
        let (seen, began) = watching.await.expect("no panic");
        assert!(tickets.len() > 20 && downloads > 0, "{kind:?}: {} {downloads}", tickets.len());
        let missed: Vec<_> = tickets.difference(&seen).collect();
        assert!(missed.is_empty(), "{kind:?}: {missed:?} of {} in {began} watches", tickets.len());
        assert!(began > 2, "{kind:?}: no watch ended with its instance");
    }
}
