-- Lock: ACCESS EXCLUSIVE on products for the moment a column is added that is null everywhere; the other table is new.
-- Rollout: before the first server of this version starts; the version before sells a product with an interval once.

-- Enum columns carry the numbers of the contract. 1 month, 2 year; null: sold once.
ALTER TABLE products ADD COLUMN billing_interval smallint CHECK (billing_interval BETWEEN 1 AND 2);

-- status: 1 pending, 2 active, 3 past due, 4 cancelled, 5 failed.
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    product_id uuid NOT NULL REFERENCES products (id),
    -- As they were when it was subscribed to.
    product_name text NOT NULL CHECK (char_length(product_name) BETWEEN 1 AND 200),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 1 AND 99999999),
    billing_interval smallint NOT NULL CHECK (billing_interval BETWEEN 1 AND 2),
    -- A user or a service key.
    subscribed_by uuid NOT NULL,
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    -- A token of the gateway, never a card number.
    method text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 100),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 5),
    gateway_id text,
    period_start timestamptz,
    period_end timestamptz,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    -- Asked for and not confirmed: 1 at once, 2 at the end of the period.
    pending_cancellation smallint CHECK (pending_cancellation BETWEEN 1 AND 2),
    cancelled_at timestamptz,
    -- 1 declined, 2 rejected, 3 abandoned.
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    -- The gateway's answers are numbered when they are asked for; one that was asked for before the last one that was
    -- taken in says nothing new.
    asked bigint NOT NULL DEFAULT 0,
    heard bigint NOT NULL DEFAULT 0,
    -- When the gateway is asked again though no webhook came.
    next_sync_at timestamptz,
    -- As in payments.
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempt_since timestamptz NOT NULL,
    driven_until timestamptz,
    drives integer NOT NULL DEFAULT 0 CHECK (drives >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT subscriptions_asked_check CHECK (heard BETWEEN 0 AND asked),
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
        AND (status = 1 OR pending_cancellation IS NOT NULL OR driven_until IS NULL)
    )
);
CREATE UNIQUE INDEX subscriptions_gateway_key ON subscriptions (gateway, gateway_id);
CREATE INDEX subscriptions_product_idx ON subscriptions (product_id);
CREATE INDEX subscriptions_created_at_idx ON subscriptions (created_at DESC, id DESC);
CREATE INDEX subscriptions_status_idx ON subscriptions (status, created_at DESC, id DESC);
CREATE INDEX subscriptions_account_created_at_idx ON subscriptions (account_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_account_status_idx ON subscriptions (account_id, status, created_at DESC, id DESC);
CREATE INDEX subscriptions_pending_idx ON subscriptions (updated_at)
    WHERE status = 1 OR pending_cancellation IS NOT NULL;
CREATE INDEX subscriptions_sync_idx ON subscriptions (next_sync_at) WHERE next_sync_at IS NOT NULL;

-- What ended stays ended, and what it is of never changes.
CREATE TRIGGER subscriptions_ended BEFORE UPDATE ON subscriptions FOR EACH ROW
    WHEN (OLD.status IN (4, 5) AND (NEW.status, NEW.gateway_id, NEW.cancelled_at)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.cancelled_at))
    EXECUTE FUNCTION refuse_unsettling();
CREATE TRIGGER subscriptions_terms BEFORE UPDATE ON subscriptions FOR EACH ROW
    WHEN ((NEW.account_id, NEW.product_id, NEW.currency, NEW.price_minor, NEW.billing_interval)
        IS DISTINCT FROM (OLD.account_id, OLD.product_id, OLD.currency, OLD.price_minor, OLD.billing_interval))
    EXECUTE FUNCTION refuse_unsettling();
