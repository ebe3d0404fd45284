//! Operations on leases.
//!
//! Each function that takes a `Work` or a connection runs in its caller's transaction: the lease, the status of its
//! vehicle and the begin of its recharging change atomically.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay::{mail::ops as mail, operations::model::Progress};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    database::Connection,
    effects,
    error::{Error, Reason, Result},
    events::Event,
    id::AccountId,
    page::{Listed, Page},
    queue::ignore_not_found,
    schedule::BATCH,
    unit_of_work::Work,
    version::ExpectedVersions,
};
use uuid::Uuid;

use super::{
    mail::LeaseEnding,
    model::{Lease, LeaseId},
    store,
};
use crate::vehicle::{
    model::{Vehicle, VehicleId},
    recharge::Recharge,
    store as vehicles,
};

/// Leases a vehicle.
///
/// # Errors
/// `NOT_FOUND`, `VEHICLE_LEASED`, `VEHICLE_RECHARGING`; `VALIDATION_FAILED` if the account is missing.
pub async fn create(
    work: &mut Work,
    vehicle: VehicleId,
    account: Option<AccountId>,
    duration: TimeDelta,
) -> Result<Lease> {
    let (account, now) = (work.permit()?.account(account)?, work.now());
    let connection = work.connection().await?;
    let vehicle = vehicles::lock(connection, vehicle).await?;
    begin(connection, vehicle, account, None, duration, now).await
}

/// Leases an available vehicle to the account that paid an order. Idempotent: an order has at most one lease.
///
/// # Errors
/// `UNAVAILABLE` if no vehicle is available. The job is then retried and finally becomes a dead job, which an operator
/// can redrive once a vehicle is available. A paid order is therefore never lost.
pub(crate) async fn grant(
    connection: &mut Connection,
    account: AccountId,
    order: Uuid,
    duration: TimeDelta,
    now: DateTime<Utc>,
) -> Result<()> {
    if store::exists_for_order(connection, order).await? {
        return Ok(());
    }
    let Some(vehicle) = vehicles::lock_available(connection).await? else {
        tracing::warn!(%order, "no vehicle is available for an order");
        return Err(Error::with_message(Reason::Unavailable, "No vehicle is available for the order."));
    };
    begin(connection, vehicle, account, Some(order), duration, now).await.map(drop)
}

/// Begins a lease of a locked vehicle.
async fn begin(
    connection: &mut Connection,
    vehicle: Vehicle,
    account: AccountId,
    order: Option<Uuid>,
    duration: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Lease> {
    let vehicle = vehicle.lease(now)?;
    let lease = Lease::new(vehicle.id, account, order, duration, now);
    vehicles::update(connection, &vehicle).await?;
    store::insert(connection, &lease).await?;
    Ok(lease)
}

/// Returns a lease.
///
/// # Errors
/// `NOT_FOUND`, also for a lease that is not visible to the caller.
pub async fn get(connection: &Connection, permit: Permit, id: LeaseId) -> Result<Lease> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of leases, plus one row if another page follows, and the total unless the page starts after a key.
///
/// # Errors
/// Any error of Postgres.
pub async fn list(connection: &Connection, permit: Permit, page: Page) -> Result<Listed<Lease>> {
    let total = page.total(store::total(connection, permit.visibility())).await?;
    Ok((store::list(connection, permit.visibility(), page.and_next()).await?, total))
}

/// Ends a lease.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `LEASE_ENDED`.
pub async fn end(work: &mut Work, id: LeaseId, expected: Option<ExpectedVersions>) -> Result<Lease> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let connection = work.connection().await?;
    let lease = store::lock(connection, visibility, id).await?;
    ExpectedVersions::check(expected.as_ref(), lease.version)?;
    let lease = lease.end(now)?;
    finish(work, &lease).await?;
    Ok(lease)
}

/// The leases that a step of [`EndLeases`](super::end_all::EndLeases) ends: few, so that their locks are short.
const STEP: i64 = 10;

/// Ends some open leases of an account, and returns what that adds to the progress.
///
/// # Errors
/// Any error of Postgres.
pub(super) async fn end_some(work: &mut Work, account: AccountId, before: DateTime<Utc>) -> Result<Progress> {
    let now = work.now();
    let open = store::lock_open(work.connection().await?, account, before, STEP).await?;
    let mut ended = 0;
    for lease in open {
        finish(work, &lease.end(now)?).await?;
        ended += 1;
    }
    Ok(Progress { created: ended, ..Progress::default() })
}

/// Leases a vehicle to the account that paid an order, in a separate transaction.
///
/// # Errors
/// See [`grant`].
pub(crate) async fn grant_for_order(app: &App, event: &Event, duration: TimeDelta) -> Result<()> {
    let (account, order) = (event.account, event.resource);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        grant(work.connection().await?, account, order, duration, now).await
    });
    transaction.await
}

/// Ends the expired leases, each in a separate transaction, and returns their number. Leases beyond a batch are left to
/// the next run.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn expire_due(app: &App) -> Result<usize> {
    let now = app.clock.now();
    let due = app.database.autocommit(async move |connection| store::expired(connection, now, BATCH).await).await?;
    for id in due.iter().copied() {
        let transaction = app.database.transaction(async move |work: &mut Work| expire(work, id).await);
        ignore_not_found(transaction.await)?;
    }
    Ok(due.len())
}

/// Ends an expired lease. Does nothing if it has been ended already.
///
/// # Errors
/// `NOT_FOUND` if it was removed with its vehicle.
async fn expire(work: &mut Work, id: LeaseId) -> Result<()> {
    let now = work.now();
    match store::lock(work.connection().await?, Visibility::All, id).await?.end(now) {
        Ok(lease) => finish(work, &lease).await,
        Err(_) => Ok(()),
    }
}

/// How long before its end a lease is announced.
pub(super) const NOTICE: TimeDelta = TimeDelta::days(3);

/// Queues mail to the members of the accounts whose leases end soon, each in a separate transaction, and returns the number
/// of leases.
///
/// # Errors
/// Any error of Postgres.
pub(crate) async fn announce_due(app: &App) -> Result<usize> {
    let (now, until) = (app.clock.now(), app.clock.now() + NOTICE);
    let due = app.database.autocommit(async move |connection| store::unannounced(connection, until, BATCH).await);
    let due = due.await?;
    for id in due.iter().copied() {
        let transaction = app.database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            let lease = store::lock(connection, Visibility::All, id).await?;
            store::set_announced(connection, id, now).await?;
            mail::send_to_members::<LeaseEnding>(connection, lease.account, id.0, now).await
        });
        ignore_not_found(transaction.await)?;
    }
    Ok(due.len())
}

/// Stores the end of a lease, and begins the recharging of its vehicle.
async fn finish(work: &mut Work, lease: &Lease) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let vehicle = vehicles::lock(connection, lease.vehicle).await?.give_back(now);
    vehicles::update(connection, &vehicle).await?;
    store::end(connection, lease).await?;
    effects::begin(work, vehicle.id.0, &Recharge { vehicle: vehicle.id }).await.map(drop)
}
