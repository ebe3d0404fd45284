//! The effect that recharges a vehicle: it orders a session at the operator of the charging stations.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use mainstay_kernel::{
    app::App,
    context,
    database::after_commit,
    effects::{self, Effect, Failure, Unfinished},
    error::{Reason, Result},
    outbound::{self, Bounds, Client, Request},
    queue::ignore_not_found,
    unit_of_work::Work,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{model::VehicleId, store};
use crate::config::FleetConfig;

/// The limits of a call. The job of the effect repeats it, so that the client does not.
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(10),
    attempt_timeout: Duration::from_secs(10),
    max_concurrency: 16,
    max_attempts: 1,
};

/// The operator of the charging stations.
#[derive(Debug)]
pub struct Stations {
    client: Client,
    /// `None`: vehicles recharge at once, without a call.
    url: Option<String>,
}

impl Stations {
    /// Creates the client.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let url = app.config.section::<FleetConfig>().charging_url.clone();
        Ok(Self { client: Client::new("charging", BOUNDS, &app.alerts)?, url })
    }

    async fn send(&self, request: http::Result<Request>) -> anyhow::Result<Result<Session, outbound::Error>> {
        Ok(match self.client.send(request.context("CHARGING_URL is no URL")?).await {
            Ok(response) => Ok(serde_json::from_slice(response.body()).context("the response has no session")?),
            Err(error) => Err(error),
        })
    }
}

/// A session at a charging station.
#[derive(Debug, Deserialize)]
pub struct Session {
    pub(super) id: String,
}

/// Recharges a vehicle after a lease.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Recharge {
    /// The vehicle.
    pub vehicle: VehicleId,
}

impl Effect for Recharge {
    const NAME: &'static str = "fleet.recharge";

    type Outcome = Session;

    async fn attempt(&self, app: &App, key: Uuid) -> Result<Session, Unfinished> {
        let stations = app.part::<Stations>();
        let Some(url) = &stations.url else { return Ok(Session { id: key.to_string() }) };
        let body = json!({ "reference": key, "vehicle": self.vehicle.0 }).to_string();
        let request = http::Request::post(format!("{url}/sessions")).header("content-type", "application/json");
        match stations.send(request.body(Bytes::from(body))).await {
            Ok(response) => Ok(response?),
            Err(error) => Err(Unfinished::Unclear(format!("{error:#}"))),
        }
    }

    async fn lookup(&self, app: &App, key: Uuid) -> anyhow::Result<Option<Session>> {
        let stations = app.part::<Stations>();
        let Some(url) = &stations.url else { return Ok(None) };
        let request = http::Request::get(format!("{url}/sessions/{key}")).body(Bytes::new());
        match stations.send(request).await? {
            Err(error) if error.status() == Some(http::StatusCode::NOT_FOUND) => Ok(None),
            response => Ok(Some(response?)),
        }
    }

    async fn succeeded(&self, work: &mut Work, _: Uuid, session: Session) -> Result<()> {
        tracing::info!(vehicle = %self.vehicle, session = session.id, "a vehicle is recharged");
        recharged(work, self.vehicle).await
    }

    /// The vehicle stays out of use until a person has begun a session at a station, which a webhook reports.
    async fn failed(&self, _: &mut Work, _: Uuid, failure: Failure) -> Result<()> {
        let (alerts, vehicle) = (context::alerts(), self.vehicle);
        after_commit::run(move || alerts.raise("fleet", "not_recharged", vehicle, &format!("{failure:?}")));
        Ok(())
    }
}

/// Makes a recharged vehicle available. Does nothing if it is not being recharged, or was removed.
///
/// # Errors
/// Any error of Postgres.
async fn recharged(work: &mut Work, id: VehicleId) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let vehicle = match store::lock(connection, id).await {
        Err(error) if error.reason() == Reason::NotFound => return Ok(()),
        vehicle => vehicle?,
    };
    match vehicle.recharge(now) {
        Some(vehicle) => store::update(connection, &vehicle).await,
        None => Ok(()),
    }
}

/// Stores that a station has charged a vehicle, and ends the effect that ordered the session. `reference` is the key of that
/// effect; a session that was begun at the station has none. The end of an earlier session changes nothing.
///
/// # Errors
/// Any error of Postgres.
pub(super) async fn charged(work: &mut Work, id: VehicleId, reference: Option<Uuid>, session: Session) -> Result<()> {
    // While the vehicle is locked, no other effect begins.
    ignore_not_found(store::lock(work.connection().await?, id).await.map(drop))?;
    match effects::pending::<Recharge>(work, id.0).await? {
        None => {
            recharged(work, id).await?;
            let alerts = context::alerts();
            after_commit::run(move || alerts.resolve("fleet", "not_recharged", id));
            Ok(())
        }
        Some(key) if reference.is_some_and(|reference| reference != key) => Ok(()),
        Some(_) => effects::settle::<Recharge>(work, id.0, Ok(session)).await.map(drop),
    }
}
