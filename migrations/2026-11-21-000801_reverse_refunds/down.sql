-- Fails while a refund is reversed: the version before has no place for it.
DROP TRIGGER refunds_reversed ON refunds;
DROP FUNCTION check_reversed();
DROP TRIGGER refunds_settled ON refunds;
CREATE TRIGGER refunds_settled BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency))
    EXECUTE FUNCTION refuse_unsettling();
DROP INDEX ledger_transactions_refund_key;
CREATE UNIQUE INDEX ledger_transactions_refund_key ON ledger_transactions (refund_id);
ALTER TABLE ledger_transactions
    DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind BETWEEN 1 AND 3),
    DROP CONSTRAINT ledger_transactions_refund_check,
    ADD CONSTRAINT ledger_transactions_check CHECK ((kind = 2) = (refund_id IS NOT NULL));
