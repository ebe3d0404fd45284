-- Lock: ACCESS EXCLUSIVE on ledger_transactions and sandbox_movements, for as long as it takes to read them once.
-- Rollout: before the first server of this version starts; the version before books as it did.

-- 3: an invoice of a subscription, once for each id the gateway knows one by.
ALTER TABLE ledger_transactions
    DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind BETWEEN 1 AND 3),
    ALTER COLUMN payment_id DROP NOT NULL,
    ADD COLUMN subscription_id uuid REFERENCES subscriptions (id),
    ADD CONSTRAINT ledger_transactions_subject_check CHECK (
        ((kind = 3) = (subscription_id IS NOT NULL)) AND ((kind = 3) = (payment_id IS NULL))
    );
CREATE UNIQUE INDEX ledger_transactions_invoice_key ON ledger_transactions (subscription_id, gateway_id);

-- 3: an invoice of a subscription.
ALTER TABLE sandbox_movements
    DROP CONSTRAINT sandbox_movements_kind_check,
    ADD CONSTRAINT sandbox_movements_kind_check CHECK (kind BETWEEN 1 AND 3);

-- Subscriptions at the built-in sandbox gateway, which renews them when it is asked and time has come.
CREATE TABLE sandbox_subscriptions (
    key text PRIMARY KEY,
    gateway_id text NOT NULL UNIQUE,
    -- Ours, as the gateway's metadata has it.
    subject_id uuid NOT NULL,
    method text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    billing_interval smallint NOT NULL CHECK (billing_interval BETWEEN 1 AND 2),
    -- Periods are counted from here; the current one is the periods-th.
    anchor timestamptz NOT NULL,
    periods integer NOT NULL CHECK (periods > 0),
    past_due boolean NOT NULL DEFAULT false,
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    cancelled_at timestamptz
);
CREATE INDEX sandbox_subscriptions_subject_idx ON sandbox_subscriptions (subject_id);
