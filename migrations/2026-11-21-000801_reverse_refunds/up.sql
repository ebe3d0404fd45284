-- Lock: ACCESS EXCLUSIVE on ledger_transactions, for as long as it takes to read it once, and on refunds for a moment.
-- Rollout: before the first server of this version starts. The version before books as it did, and finds a fault in the
-- books for each refund that was reversed.

-- 4: a refund that was booked and came back. Each is booked once, and once at most reversed.
ALTER TABLE ledger_transactions
    DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind BETWEEN 1 AND 4),
    DROP CONSTRAINT ledger_transactions_check,
    ADD CONSTRAINT ledger_transactions_refund_check CHECK ((kind IN (2, 4)) = (refund_id IS NOT NULL));
DROP INDEX ledger_transactions_refund_key;
CREATE UNIQUE INDEX ledger_transactions_refund_key ON ledger_transactions (refund_id, kind);

-- What is settled stays settled, but for a refund that came back.
DROP TRIGGER refunds_settled ON refunds;
CREATE TRIGGER refunds_settled BEFORE UPDATE ON refunds FOR EACH ROW
    WHEN (OLD.status <> 1 AND (NEW.status, NEW.gateway_id, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (OLD.status, OLD.gateway_id, OLD.amount_minor, OLD.currency)
        AND NOT (OLD.status = 2 AND NEW.status = 3
            AND (NEW.amount_minor, NEW.currency) = (OLD.amount_minor, OLD.currency)))
    EXECUTE FUNCTION refuse_unsettling();

-- When the transaction commits: what came back is in the books too, to the unit.
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
