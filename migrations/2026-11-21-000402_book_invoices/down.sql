DROP TABLE sandbox_subscriptions;
ALTER TABLE sandbox_movements
    DROP CONSTRAINT sandbox_movements_kind_check,
    ADD CONSTRAINT sandbox_movements_kind_check CHECK (kind BETWEEN 1 AND 2);
ALTER TABLE ledger_transactions
    DROP COLUMN subscription_id,
    ALTER COLUMN payment_id SET NOT NULL,
    DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind BETWEEN 1 AND 2);
