DROP TABLE sandbox_subscriptions, sandbox_movements, gateway_customers, ledger_entries, ledger_transactions, refunds;
ALTER TABLE orders DROP CONSTRAINT orders_payment_id_fkey;
DROP TABLE payments;
DROP FUNCTION check_reversed(), check_in_ledger(), check_ledger_balance(), refuse_unsettling();
