DROP TABLE sandbox_subscriptions, sandbox_movements, gateway_customers;
DROP VIEW ledger_entries;
ALTER TABLE payments DROP CONSTRAINT payments_ledger_fkey;
ALTER TABLE refunds DROP CONSTRAINT refunds_ledger_fkey;
DROP TABLE ledger_sums, ledger_unsummed, ledger_transactions, refunds;
ALTER TABLE orders DROP CONSTRAINT orders_payment_id_fkey;
DROP TABLE payments;
DROP FUNCTION note_unsummed(), check_reversed(), reject_change();
