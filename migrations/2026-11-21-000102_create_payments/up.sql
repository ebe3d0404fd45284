-- Lock: ACCESS EXCLUSIVE on orders for the moment its foreign key is added; the other tables are new. Rollout: before the
-- first server of this version starts.

-- Enum columns carry the numbers of mainstay.payments.v1: 1 pending, 2 succeeded, 3 failed.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    order_id uuid NOT NULL REFERENCES orders (id),
    -- A user or a service key.
    charged_by uuid NOT NULL,
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    -- A token of the gateway, never a card number.
    method text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 100),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 99999999),
    -- Given back, or being given back.
    refunded_minor bigint NOT NULL DEFAULT 0,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    gateway_id text,
    -- 1 declined, 2 rejected, 3 abandoned.
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    -- The gateway is asked under a key made of the id and the attempt, from attempt_since on.
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempt_since timestamptz NOT NULL,
    -- Who works on it has so long; null: nobody does. drives counts them.
    driven_until timestamptz,
    drives integer NOT NULL DEFAULT 0 CHECK (drives >= 0),
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
        AND (status = 1 OR driven_until IS NULL)
    )
);
-- An order is paid once, whoever asks and however often.
CREATE UNIQUE INDEX payments_live_order_key ON payments (order_id) WHERE status <> 3;
CREATE UNIQUE INDEX payments_gateway_key ON payments (gateway, gateway_id);
CREATE INDEX payments_order_idx ON payments (order_id, created_at DESC, id DESC);
CREATE INDEX payments_created_at_idx ON payments (created_at DESC, id DESC);
CREATE INDEX payments_status_idx ON payments (status, created_at DESC, id DESC);
CREATE INDEX payments_account_created_at_idx ON payments (account_id, created_at DESC, id DESC);
CREATE INDEX payments_account_status_idx ON payments (account_id, status, created_at DESC, id DESC);
CREATE INDEX payments_pending_idx ON payments (updated_at) WHERE status = 1;

CREATE UNIQUE INDEX orders_payment_key ON orders (payment_id);
ALTER TABLE orders ADD CONSTRAINT orders_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments (id)
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments (id),
    account_id uuid NOT NULL,
    refunded_by uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 99999999),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    gateway_id text,
    failure_kind smallint CHECK (failure_kind BETWEEN 1 AND 3),
    failure_code text,
    failure_message text,
    attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
    attempt_since timestamptz NOT NULL,
    driven_until timestamptz,
    drives integer NOT NULL DEFAULT 0 CHECK (drives >= 0),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT refunds_state_check CHECK (
        ((status = 2) = (gateway_id IS NOT NULL))
        AND ((status = 3) = (failure_kind IS NOT NULL))
        AND ((status = 3) = (failure_code IS NOT NULL))
        AND ((status = 3) = (failure_message IS NOT NULL))
        AND (status = 1 OR driven_until IS NULL)
    )
);
CREATE INDEX refunds_payment_idx ON refunds (payment_id, created_at DESC, id DESC);
CREATE INDEX refunds_pending_idx ON refunds (updated_at) WHERE status = 1;

-- What is settled stays settled.
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
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency))
    EXECUTE FUNCTION refuse_unsettling();

-- The books, in double entry. A transaction is one movement of money at the gateway: 1 a charge, 2 a refund.
CREATE TABLE ledger_transactions (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 2),
    payment_id uuid NOT NULL REFERENCES payments (id),
    refund_id uuid REFERENCES refunds (id),
    gateway_id text NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK ((kind = 2) = (refund_id IS NOT NULL))
);
CREATE UNIQUE INDEX ledger_transactions_charge_key ON ledger_transactions (payment_id) WHERE kind = 1;
CREATE UNIQUE INDEX ledger_transactions_refund_key ON ledger_transactions (refund_id);

-- Accounts: 1 what the gateway owes us, 2 sales, 3 refunds. Debits are positive, credits negative.
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

-- When the transaction commits: two entries at least, of one currency, that add up to nothing.
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

-- When the transaction commits: money that moved is in the books, to the unit.
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

-- What the built-in sandbox gateway did, which no other part reads: its key, and its answer for good.
CREATE TABLE sandbox_movements (
    key text PRIMARY KEY,
    -- 1 a charge, 2 a refund.
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 2),
    subject_id uuid NOT NULL,
    gateway_id text NOT NULL UNIQUE,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    -- Null: the money moved.
    refusal_code text,
    created_at timestamptz NOT NULL
);
CREATE INDEX sandbox_movements_subject_idx ON sandbox_movements (subject_id);
CREATE TRIGGER sandbox_movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sandbox_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
