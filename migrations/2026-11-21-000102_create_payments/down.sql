DROP TABLE sandbox_movements, ledger_entries, ledger_transactions, refunds;
ALTER TABLE orders DROP CONSTRAINT orders_payment_id_fkey;
DROP INDEX orders_payment_key;
DROP TABLE payments;
DROP FUNCTION check_in_ledger(), check_ledger_balance(), refuse_unsettling();
