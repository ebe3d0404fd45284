-- Purpose: payments and refunds, the ledger that books them, what the gateways know customers by, and the records of
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
    )
);
-- An order is paid only once, however many requests there are: at most one of its payments has not failed.
CREATE UNIQUE INDEX payments_live_order_key ON payments (order_id) WHERE status <> 3;
-- A charge at the gateway is one payment.
CREATE UNIQUE INDEX payments_gateway_key ON payments (gateway, gateway_id);
-- One index per way to filter a list, each in the list's order.
CREATE INDEX payments_order_idx ON payments (order_id, created_at DESC, id DESC);
CREATE INDEX payments_created_at_idx ON payments (created_at DESC, id DESC);
CREATE INDEX payments_status_idx ON payments (status, created_at DESC, id DESC);
CREATE INDEX payments_account_created_at_idx ON payments (account_id, created_at DESC, id DESC);
CREATE INDEX payments_account_status_idx ON payments (account_id, status, created_at DESC, id DESC);
-- Finds the payments whose outcome must still be determined.
CREATE INDEX payments_pending_idx ON payments (updated_at) WHERE status = 1;

-- Orders and payments refer to each other, so one of the foreign keys can't be part of its table's creation. Deferred,
-- because a payment and its order's update are two statements.
ALTER TABLE orders ADD CONSTRAINT orders_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments (id)
    DEFERRABLE INITIALLY DEFERRED;

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
    )
);
CREATE INDEX refunds_payment_idx ON refunds (payment_id, created_at DESC, id DESC);
-- A refund at the gateway is one refund here.
CREATE UNIQUE INDEX refunds_gateway_key ON refunds (payment_id, gateway_id);
-- Finds the refunds whose outcome must still be determined.
CREATE INDEX refunds_pending_idx ON refunds (updated_at) WHERE status = 1;

-- What is settled stays settled, except that a refund that succeeded may fail: the gateway can take it back.
CREATE FUNCTION refuse_unsettling() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: it is settled', TG_TABLE_NAME, OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER payments_settled BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency))
    EXECUTE FUNCTION refuse_unsettling();
CREATE TRIGGER refunds_settled BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency)
        AND NOT (OLD.status = 2 AND NEW.status = 3
            AND (NEW.amount_minor, NEW.currency) = (OLD.amount_minor, OLD.currency)))
    EXECUTE FUNCTION refuse_unsettling();

-- The ledger, in double entry. A transaction is one movement of money at the gateway. kind: 1 a charge, 2 a refund, 3
-- an invoice of a subscription, 4 a refund that was booked and then reversed, because the gateway took it back.
CREATE TABLE ledger_transactions (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
    -- Null exactly for an invoice, which has a subscription instead.
    payment_id uuid REFERENCES payments (id),
    refund_id uuid REFERENCES refunds (id),
    gateway_id text NOT NULL,
    created_at timestamptz NOT NULL,
    -- The subscriptions module adds the foreign key: its table is created later.
    subscription_id uuid,
    CONSTRAINT ledger_transactions_refund_check CHECK ((kind IN (2, 4)) = (refund_id IS NOT NULL)),
    CONSTRAINT ledger_transactions_subject_check CHECK (
        ((kind = 3) = (subscription_id IS NOT NULL)) AND ((kind = 3) = (payment_id IS NULL))
    )
);
-- Each movement is booked once: a charge once, a refund once and reversed at most once, an invoice once per gateway id.
CREATE UNIQUE INDEX ledger_transactions_charge_key ON ledger_transactions (payment_id) WHERE kind = 1;
CREATE UNIQUE INDEX ledger_transactions_refund_key ON ledger_transactions (refund_id, kind);
CREATE UNIQUE INDEX ledger_transactions_invoice_key ON ledger_transactions (subscription_id, gateway_id);

-- account: 1 what the gateway owes us, 2 sales, 3 refunds. Debits are positive, credits negative.
CREATE TABLE ledger_entries (
    transaction_id uuid NOT NULL REFERENCES ledger_transactions (id),
    account smallint NOT NULL CHECK (account BETWEEN 1 AND 3),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (transaction_id, account)
);
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- At commit, a ledger transaction has at least two entries, all in one currency, and their sum is zero. Deferred,
-- because booking takes several statements.
CREATE FUNCTION check_ledger_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject uuid := CASE TG_TABLE_NAME WHEN 'ledger_transactions' THEN (to_jsonb(NEW) ->> 'id')::uuid
        ELSE (to_jsonb(NEW) ->> 'transaction_id')::uuid END;
BEGIN
    IF NOT (SELECT count(*) >= 2 AND count(DISTINCT currency) = 1 AND sum(amount_minor) = 0
        FROM ledger_entries WHERE transaction_id = subject) THEN
        RAISE EXCEPTION 'ledger transaction % is not balanced', subject USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transactions_balance AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_ledger_balance();
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_ledger_balance();

-- At commit, each payment and refund that succeeded is booked in the ledger with its exact amount.
CREATE FUNCTION check_in_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_charge boolean := TG_TABLE_NAME = 'payments';
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger_transactions AS booked JOIN ledger_entries AS entry ON entry.transaction_id = booked.id
        WHERE (CASE WHEN is_charge THEN booked.kind = 1 AND booked.payment_id = NEW.id ELSE booked.refund_id = NEW.id END)
            AND booked.gateway_id = NEW.gateway_id AND entry.account = 1 AND entry.currency = NEW.currency
            AND entry.amount_minor = CASE WHEN is_charge THEN NEW.amount_minor ELSE -NEW.amount_minor END
    ) THEN
        RAISE EXCEPTION '% % is not in the ledger', TG_TABLE_NAME, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payments_in_ledger AFTER INSERT OR UPDATE OF status ON payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 2) EXECUTE FUNCTION check_in_ledger();
CREATE CONSTRAINT TRIGGER refunds_in_ledger AFTER INSERT OR UPDATE OF status ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 2) EXECUTE FUNCTION check_in_ledger();

-- At commit, each refund that succeeded and then failed is also reversed in the ledger, with its exact amount.
CREATE FUNCTION check_reversed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger_transactions AS booked JOIN ledger_entries AS entry ON entry.transaction_id = booked.id
        WHERE booked.kind = 4 AND booked.refund_id = NEW.id AND booked.gateway_id = OLD.gateway_id
            AND entry.account = 1 AND entry.currency = NEW.currency AND entry.amount_minor = NEW.amount_minor
    ) THEN
        RAISE EXCEPTION 'refund % came back and is not reversed in the ledger', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refunds_reversed AFTER UPDATE OF status ON refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status = 2 AND NEW.status = 3)
    EXECUTE FUNCTION check_reversed();

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
CREATE INDEX sandbox_movements_charge_idx ON sandbox_movements (charge_id);
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
