-- Purpose: payments and refunds, the ledger that books them and its sums, what the gateways know customers by, and the records of
-- the built-in sandbox gateway.
-- Lock: SHARE ROW EXCLUSIVE on accounts and orders for a moment, because the new tables refer to them, and orders to
-- payments; all tables are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.payments.v1. status: 1 pending, 2 succeeded, 3 failed.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    order_id uuid NOT NULL REFERENCES orders (id),
    -- A user or a service key.
    charged_by uuid NOT NULL,
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    -- A token of the gateway, never a card number.
    method text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 100),
    -- The gateway's customer when the payment was made: all requests under one idempotency key must name the same one.
    customer_id text,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 99999999),
    -- Refunded, or reserved for pending refunds.
    refunded_minor bigint NOT NULL DEFAULT 0,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    gateway_id text,
    -- 1 declined, 2 rejected, 3 abandoned.
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    -- The gateway's idempotency key is made of the id and the number of the attempt.
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    -- The earliest time at which the attempt may have been sent.
    attempt_since timestamptz NOT NULL,
    -- When the attempt's key was abandoned. Since then, no request is sent under it; instead, the outcome is looked up
    -- at the gateway, as soon as everything it did until then can be found there.
    key_abandoned_at timestamptz,
    -- The end of the lease of the process that works on it; null: none does.
    leased_until timestamptz,
    -- When a worker is to look at it: if the process died, or for the next try; null once it is settled.
    due_at timestamptz,
    -- The trace of the request that made it (W3C), if that is recorded: a worker that settles it continues it.
    traceparent text CHECK (char_length(traceparent) = 55),
    -- The number of leases so far.
    leases integer NOT NULL DEFAULT 0 CHECK (leases >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT payments_refunded_check CHECK (
        refunded_minor BETWEEN 0 AND amount_minor AND (status = 2 OR refunded_minor = 0)
    ),
    CONSTRAINT payments_state_check CHECK (
        ((status = 2) = (gateway_id IS NOT NULL))
        AND ((status = 3) = (failure_kind IS NOT NULL))
        AND ((status = 3) = (failure_code IS NOT NULL))
        AND ((status = 3) = (failure_message IS NOT NULL))
        AND (status = 1 OR leased_until IS NULL)
        AND ((status = 1) = (due_at IS NOT NULL))
    )
);
-- An order is paid only once, however many requests there are: at most one of its payments has not failed.
CREATE UNIQUE INDEX payments_live_order_key ON payments (order_id) WHERE status <> 3;
-- A charge at the gateway is one payment.
CREATE UNIQUE INDEX payments_gateway_key ON payments (gateway, gateway_id) WHERE gateway_id IS NOT NULL;
-- One index per way to filter a list, each in the list's order. An account has so few payments that those of a status are
-- found by reading them all.
CREATE INDEX payments_order_idx ON payments (order_id, created_at DESC, id DESC);
CREATE INDEX payments_created_at_idx ON payments (created_at DESC, id DESC);
CREATE INDEX payments_status_idx ON payments (status, created_at DESC, id DESC);
CREATE INDEX payments_account_created_at_idx ON payments (account_id, created_at DESC, id DESC);
-- Finds the payments whose outcome must still be determined.
CREATE INDEX payments_due_idx ON payments (due_at) WHERE due_at IS NOT NULL;

-- Orders and payments refer to each other, so one of the foreign keys can't be part of its table's creation.
ALTER TABLE orders ADD CONSTRAINT orders_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments (id);

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    account_id uuid NOT NULL,
    -- A user or a service key; null: the refund was made at the gateway itself.
    refunded_by uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 99999999),
    -- As in payments; a refund that succeeded can still fail, if the gateway takes it back.
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    gateway_id text,
    -- 1 declined, 2 rejected, 3 abandoned.
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    -- The same columns as in payments.
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempt_since timestamptz NOT NULL,
    key_abandoned_at timestamptz,
    leased_until timestamptz,
    due_at timestamptz,
    traceparent text CHECK (char_length(traceparent) = 55),
    leases integer NOT NULL DEFAULT 0 CHECK (leases >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT refunds_state_check CHECK (
        ((status = 2) = (gateway_id IS NOT NULL))
        AND ((status = 3) = (failure_kind IS NOT NULL))
        AND ((status = 3) = (failure_code IS NOT NULL))
        AND ((status = 3) = (failure_message IS NOT NULL))
        AND (status = 1 OR leased_until IS NULL)
        AND ((status = 1) = (due_at IS NOT NULL))
    )
);
CREATE INDEX refunds_payment_idx ON refunds (payment_id, created_at DESC, id DESC);
-- A refund at the gateway is one refund here.
CREATE UNIQUE INDEX refunds_gateway_key ON refunds (payment_id, gateway_id);
-- Finds the refunds whose outcome must still be determined.
CREATE INDEX refunds_due_idx ON refunds (due_at) WHERE due_at IS NOT NULL;

-- What is settled stays settled, except that a refund that succeeded may fail: the gateway can take it back.
CREATE FUNCTION reject_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: it is settled', TG_TABLE_NAME, OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER payments_settled BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency))
    EXECUTE FUNCTION reject_change();
CREATE TRIGGER refunds_settled BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency)
        AND NOT (OLD.status = 2 AND NEW.status = 3
            AND (NEW.amount_minor, NEW.currency) = (OLD.amount_minor, OLD.currency)))
    EXECUTE FUNCTION reject_change();

-- The ledger, in double entry. A transaction is one movement of money at the gateway: one row, which debits one account and
-- credits another with the same amount, so that nothing out of balance can be written down. kind: 1 a charge, 2 a refund, 3
-- an invoice of a subscription, 4 a refund that was booked and then reversed, because the gateway took it back, 5 a refund
-- of a subscription's invoice, which is made at the gateway itself, 6 one of those that was reversed.
CREATE TABLE ledger_transactions (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 6),
    -- What it is for: the column of its kind, and no other.
    payment_id uuid REFERENCES payments (id),
    refund_id uuid REFERENCES refunds (id),
    -- The subscriptions module adds the foreign key: its table is created later.
    subscription_id uuid,
    reversed_refund_id uuid REFERENCES refunds (id),
    gateway_id text NOT NULL,
    -- 1 what the gateway owes us, 2 sales, 3 refunds.
    debit_account smallint NOT NULL,
    credit_account smallint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    created_at timestamptz NOT NULL,
    CONSTRAINT ledger_transactions_subject_check CHECK (
        ((kind = 1) = (payment_id IS NOT NULL)) AND ((kind = 2) = (refund_id IS NOT NULL))
        AND ((kind IN (3, 5, 6)) = (subscription_id IS NOT NULL)) AND ((kind = 4) = (reversed_refund_id IS NOT NULL))
    ),
    CONSTRAINT ledger_transactions_accounts_check CHECK (
        (kind, debit_account, credit_account) IN ((1, 1, 2), (2, 3, 1), (3, 1, 2), (4, 1, 3), (5, 3, 1), (6, 1, 3))
    ),
    -- What payments and refunds refer to, below.
    CONSTRAINT ledger_transactions_payment_movement_key UNIQUE (payment_id, gateway_id, currency, amount_minor),
    CONSTRAINT ledger_transactions_refund_movement_key UNIQUE (refund_id, gateway_id, currency, amount_minor)
);
-- Each movement is booked once: a charge once, a refund once and reversed at most once, an invoice and its refunds once per
-- gateway id, each of them reversed at most once.
CREATE UNIQUE INDEX ledger_transactions_charge_key ON ledger_transactions (payment_id) WHERE payment_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_transactions_refund_key ON ledger_transactions (refund_id) WHERE refund_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_transactions_reversal_key ON ledger_transactions (reversed_refund_id)
    WHERE reversed_refund_id IS NOT NULL;
CREATE UNIQUE INDEX ledger_transactions_invoice_key ON ledger_transactions (subscription_id, gateway_id, kind)
    WHERE subscription_id IS NOT NULL;
-- Finds the subscription of an invoice that was refunded.
CREATE INDEX ledger_transactions_invoiced_idx ON ledger_transactions (gateway_id) WHERE kind = 3;
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Each payment and refund that succeeded, and so has a gateway_id, is booked in the ledger under that id with its exact
-- amount. For refunds at commit, because their transaction refers to them as soon as they are inserted.
ALTER TABLE payments ADD CONSTRAINT payments_ledger_fkey FOREIGN KEY (id, gateway_id, currency, amount_minor)
    REFERENCES ledger_transactions (payment_id, gateway_id, currency, amount_minor);
ALTER TABLE refunds ADD CONSTRAINT refunds_ledger_fkey FOREIGN KEY (id, gateway_id, currency, amount_minor)
    REFERENCES ledger_transactions (refund_id, gateway_id, currency, amount_minor) DEFERRABLE INITIALLY DEFERRED;

-- The two entries of each transaction; debits are positive, credits negative.
CREATE VIEW ledger_entries AS
    SELECT id AS transaction_id, debit_account AS account, currency, amount_minor FROM ledger_transactions
    UNION ALL
    SELECT id, credit_account, currency, -amount_minor FROM ledger_transactions;

-- At commit, each refund that succeeded and then failed is also reversed in the ledger, with its exact amount.
CREATE FUNCTION check_reversed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger_transactions WHERE reversed_refund_id = NEW.id AND gateway_id = OLD.gateway_id
            AND currency = NEW.currency AND amount_minor = NEW.amount_minor
    ) THEN
        RAISE EXCEPTION 'refund % came back and is not reversed in the ledger', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refunds_reversed AFTER UPDATE OF status ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status = 2 AND NEW.status = 3)
    EXECUTE FUNCTION check_reversed();

-- The sums of the ledger, so that nobody adds it up. A row sums what was booked in one currency within a span of time.
-- span: 1 a quarter of an hour, 2 a day of UTC. In every time zone, days begin on a quarter.
CREATE TABLE ledger_sums (
    span smallint NOT NULL CHECK (span BETWEEN 1 AND 2),
    starts_at timestamptz NOT NULL,
    currency text NOT NULL,
    -- What was sold.
    gross_minor bigint NOT NULL,
    -- What was refunded, less what came back of it; it may be negative.
    refunds_minor bigint NOT NULL,
    -- The numbers of movements behind the two.
    sales bigint NOT NULL,
    refunds bigint NOT NULL,
    PRIMARY KEY (span, starts_at, currency)
-- Rows are updated again and again while their span lasts: with free space on their page, updates leave the index alone.
) WITH (fillfactor = 70);

-- What is booked and not yet in the sums. A row commits with its movement, and the transaction that adds it to the sums
-- deletes it: so in every snapshot, the sums and these rows make up the ledger exactly, in whatever order movements commit.
CREATE TABLE ledger_unsummed (
    transaction_id uuid PRIMARY KEY,
    -- The quarter of an hour.
    starts_at timestamptz NOT NULL,
    currency text NOT NULL,
    gross_minor bigint NOT NULL,
    refunds_minor bigint NOT NULL,
    sales bigint NOT NULL,
    refunds bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE FUNCTION note_unsummed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_unsummed
    SELECT id, date_bin('15 minutes', created_at, '2000-01-01Z'), currency,
        CASE WHEN credit_account = 2 THEN amount_minor ELSE 0 END,
        CASE 3 WHEN debit_account THEN amount_minor WHEN credit_account THEN -amount_minor ELSE 0 END,
        (credit_account = 2)::integer,
        CASE 3 WHEN debit_account THEN 1 WHEN credit_account THEN -1 ELSE 0 END
    FROM new_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_transactions_unsummed AFTER INSERT ON ledger_transactions
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_unsummed();

-- The customer that a gateway has for an account: one, whatever the account pays for.
CREATE TABLE gateway_customers (
    account_id uuid NOT NULL REFERENCES accounts (id),
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    customer_id text NOT NULL CHECK (char_length(customer_id) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, gateway)
);

-- The movements at the built-in sandbox gateway, which only the sandbox itself reads: its permanent answer to each
-- idempotency key.
CREATE TABLE sandbox_movements (
    key text PRIMARY KEY,
    -- 1 a charge, 2 a refund, 3 an invoice of a subscription.
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
    -- The payment, the refund or the subscription.
    subject_id uuid NOT NULL,
    gateway_id text NOT NULL UNIQUE,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    -- Null: the money moved.
    refusal_code text,
    created_at timestamptz NOT NULL,
    -- The gateway id of the charge, for a refund.
    charge_id text
);
CREATE INDEX sandbox_movements_subject_idx ON sandbox_movements (subject_id);
CREATE INDEX sandbox_movements_charge_idx ON sandbox_movements (charge_id) WHERE charge_id IS NOT NULL;
CREATE TRIGGER sandbox_movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sandbox_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Subscriptions at the sandbox gateway, which renews them when it is called after the end of a period.
CREATE TABLE sandbox_subscriptions (
    key text PRIMARY KEY,
    gateway_id text NOT NULL UNIQUE,
    -- Our id, which other gateways keep in their metadata.
    subject_id uuid NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    billing_interval smallint NOT NULL CHECK (billing_interval BETWEEN 1 AND 2),
    -- The start of the first period.
    anchor timestamptz NOT NULL,
    -- The number of the current period, from 1.
    periods integer NOT NULL CHECK (periods > 0),
    past_due boolean NOT NULL DEFAULT false,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    cancelled_at timestamptz
);
CREATE INDEX sandbox_subscriptions_subject_idx ON sandbox_subscriptions (subject_id);
