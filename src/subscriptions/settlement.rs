//! Subscriptions: started under the keys of an attempt, or canceled, which is idempotent. In both cases the gateway
//! answers with the subscription's state, which is processed like any other of its answers.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::subscriptions::id::SubscriptionId;
use crate::subscriptions::job::SettleSubscription;
use crate::{
    payments::{
        Cancel, Gateway, Lookup, Outcome, Subscribe,
        customer::ops as customer,
        settlement::{
            model::{AttemptLease, Failure},
            ops::{Facts, GatewayRequest},
        },
    },
    subscriptions::{
        model::{Snapshot, State, Subscription},
        ops::{Answer, Entry, apply_answer, fail},
        store,
    },
};
use mainstay_kernel::{caller::Visibility, database::Connection, error::Result, queue as jobs, unit_of_work::Work};

impl Subscription {
    /// Returns the cancellation that is pending.
    fn cancellation(&self) -> Option<Cancel> {
        let (how, gateway_id) = (self.pending_cancellation?, self.state.gateway_id()?.to_owned());
        Some(Cancel { key: format!("{}-cancel-{}", self.id, self.last_query), gateway_id, how })
    }
}

impl GatewayRequest for Subscription {
    type Done = Snapshot;
    type Locked = Self;

    const ID: &'static str = "subscriptionId";

    async fn lock_unsettled(connection: &Connection, id: Uuid) -> Result<Option<Self>> {
        let subscription = store::lock(connection, Visibility::All, SubscriptionId(id)).await?;
        Ok(subscription.is_unsettled().then_some(subscription))
    }

    fn facts(&self) -> Facts<'_> {
        let Self { id, lease, created_at, account, .. } = *self;
        let missing_customer = (self.state == State::Pending && self.customer.is_none()).then_some(account);
        Facts { id: id.0, gateway: &self.gateway, lease, created_at, missing_customer }
    }

    fn view(&self) -> Self {
        self.clone()
    }

    async fn get(connection: &Connection, visibility: Visibility, id: Uuid) -> Result<Self> {
        store::get(connection, visibility, SubscriptionId(id)).await
    }

    fn failure(view: &Self) -> Option<&Failure> {
        view.state.failure()
    }

    async fn set_due(connection: &mut Connection, id: Uuid, at: Option<DateTime<Utc>>) -> Result<()> {
        let job = SettleSubscription(SubscriptionId(id));
        match at {
            Some(at) => jobs::enqueue_at(connection, &job, at).await,
            None => jobs::enqueue(connection, &job).await,
        }
    }

    /// A new attempt lease is followed by a request to the gateway, so the request is numbered with it.
    async fn store_lease(self, connection: &mut Connection, lease: AttemptLease) -> Result<Self> {
        let next = Self { lease, ..self }.next_query();
        store::set_lease(connection, &next).await?;
        Self::set_due(connection, next.id.0, lease.due).await?;
        Ok(next)
    }

    async fn attach_customer(self, connection: &mut Connection, customer: &str, now: DateTime<Utc>) -> Result<Self> {
        let customer = customer::insert_or_get(connection, self.account, &self.gateway, customer, now).await?;
        store::attach_customer(connection, self.id, &customer).await?;
        Ok(Self { customer: Some(customer), ..self })
    }

    async fn send(&self, gateway: &dyn Gateway, is_repeated: bool) -> Outcome<Snapshot> {
        match self.cancellation() {
            Some(cancel) => gateway.cancel(cancel).await,
            None => match &self.customer {
                Some(customer) => gateway.subscribe(Subscribe::of(self, customer, is_repeated)).await,
                None => Outcome::Unknown { why: "its account is no customer yet".to_owned(), remembered: false },
            },
        }
    }

    /// A cancellation is requested again regardless of its age: it has either been done already, or is done now.
    async fn find(&self, gateway: &dyn Gateway) -> Lookup<Snapshot> {
        let Some(cancel) = self.cancellation() else { return gateway.find_subscription(self.id).await };
        match gateway.cancel(cancel).await {
            Outcome::Done(snapshot) => Lookup::Done(snapshot),
            Outcome::Unknown { why, .. } => Lookup::Unknown { why },
            Outcome::Refused(failure) => Lookup::Unknown { why: failure.code },
        }
    }

    async fn lock(&self, connection: &Connection) -> Result<Self> {
        store::lock(connection, Visibility::All, self.id).await
    }

    async fn settle(&self, work: &mut Work, current: Self, outcome: Result<Snapshot, Failure>) -> Result<Option<Self>> {
        let settled = match outcome {
            Ok(snapshot) => {
                let answer = Answer { number: self.last_query, snapshot };
                apply_answer(work, current, &answer, Entry::Omitted).await
            }
            Err(failure) => fail(work, current, self, failure).await,
        };
        // A late answer may meet a later request, which still needs its job.
        let connection = work.connection().await?;
        if settled.is_ok() && !store::lock(connection, Visibility::All, self.id).await?.is_unsettled() {
            jobs::cancel::<SettleSubscription>(connection, self.id.0).await?;
        }
        settled
    }
}
