-- Purpose: subscriptions, and the ledger's reference to them.
-- Lock: SHARE ROW EXCLUSIVE on accounts, products and ledger_transactions for a moment, for the foreign keys; the table
-- is new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of the contract. status: 1 pending, 2 active, 3 past due, 4 cancelled, 5 failed.
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    product_id uuid NOT NULL REFERENCES products (id),
    -- The product's name and price when the subscription was made.
    product_name text NOT NULL CHECK (char_length(product_name) BETWEEN 1 AND 200),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 1 AND 99999999),
    -- 1 month, 2 year.
    billing_interval smallint NOT NULL CHECK (billing_interval BETWEEN 1 AND 2),
    -- A user or a service key.
    subscribed_by uuid NOT NULL,
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    -- A token of the gateway, never a card number.
    method text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 100),
    -- The gateway's customer, known before the subscription is made there: as in payments.
    customer_id text,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 5),
    gateway_id text,
    period_start timestamptz,
    period_end timestamptz,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    -- Requested, but not yet confirmed by the gateway: 1 immediately, 2 at the end of the period.
    pending_cancellation smallint CHECK (pending_cancellation BETWEEN 1 AND 2),
    cancelled_at timestamptz,
    -- 1 declined, 2 rejected, 3 abandoned.
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    -- Queries to the gateway are numbered. last_query is the last number given to one, last_answer that of the last one whose
    -- answer was applied: the answer to an earlier query is stale, and ignored.
    last_query bigint NOT NULL DEFAULT 0,
    last_answer bigint NOT NULL DEFAULT 0,
    -- When the gateway is queried again even if no webhook arrived.
    next_sync_at timestamptz,
    -- The same columns as in payments.
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempt_since timestamptz NOT NULL,
    key_abandoned_at timestamptz,
    leased_until timestamptz,
    leases integer NOT NULL DEFAULT 0 CHECK (leases >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT subscriptions_last_answer_check CHECK (last_answer BETWEEN 0 AND last_query),
    CONSTRAINT subscriptions_state_check CHECK (
        ((status IN (2, 3, 4)) = (gateway_id IS NOT NULL))
        AND ((status IN (2, 3, 4)) = (period_start IS NOT NULL))
        AND ((status IN (2, 3, 4)) = (period_end IS NOT NULL))
        AND ((status IN (2, 3)) = (next_sync_at IS NOT NULL))
        AND ((status = 4) = (cancelled_at IS NOT NULL))
        AND ((status = 5) = (failure_kind IS NOT NULL))
        AND ((status = 5) = (failure_code IS NOT NULL))
        AND ((status = 5) = (failure_message IS NOT NULL))
        AND (status IN (2, 3) OR pending_cancellation IS NULL)
        AND (status = 1 OR pending_cancellation IS NOT NULL OR leased_until IS NULL)
    )
);
-- A subscription at the gateway is one here.
CREATE UNIQUE INDEX subscriptions_gateway_key ON subscriptions (gateway, gateway_id);
CREATE INDEX subscriptions_product_idx ON subscriptions (product_id);
CREATE INDEX subscriptions_created_at_idx ON subscriptions (created_at DESC, id DESC);
CREATE INDEX subscriptions_status_idx ON subscriptions (status, created_at DESC, id DESC);
CREATE INDEX subscriptions_account_created_at_idx ON subscriptions (account_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_account_status_idx ON subscriptions (account_id, status, created_at DESC, id DESC);
-- Finds the subscriptions and cancellations whose outcome must still be determined.
CREATE INDEX subscriptions_pending_idx ON subscriptions (updated_at)
    WHERE status = 1 OR pending_cancellation IS NOT NULL;
-- Finds the subscriptions to query the gateway about.
CREATE INDEX subscriptions_sync_idx ON subscriptions (next_sync_at, id) WHERE next_sync_at IS NOT NULL;

-- A subscription that ended stays ended, and its terms never change.
CREATE TRIGGER subscriptions_ended BEFORE UPDATE ON subscriptions FOR EACH ROW
    WHEN (OLD.status IN (4, 5) AND (NEW.status, NEW.gateway_id, NEW.cancelled_at)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.cancelled_at))
    EXECUTE FUNCTION reject_change();
CREATE TRIGGER subscriptions_terms BEFORE UPDATE ON subscriptions FOR EACH ROW
    WHEN ((NEW.account_id, NEW.product_id, NEW.currency, NEW.price_minor, NEW.billing_interval)
        IS DISTINCT FROM (OLD.account_id, OLD.product_id, OLD.currency, OLD.price_minor, OLD.billing_interval))
    EXECUTE FUNCTION reject_change();

-- An invoice is booked for its subscription. Subscriptions use a function of the payments module, whose ledger refers
-- to subscriptions: so the later of the two modules adds this foreign key.
ALTER TABLE ledger_transactions ADD CONSTRAINT ledger_transactions_subscription_id_fkey
    FOREIGN KEY (subscription_id) REFERENCES subscriptions (id);
