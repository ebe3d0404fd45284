-- Whoever paid stands for the gateway in what was adopted.
ALTER TABLE sandbox_movements DROP COLUMN charge_id;
DROP INDEX refunds_gateway_key;
UPDATE refunds SET refunded_by = payments.charged_by FROM payments
WHERE payments.id = refunds.payment_id AND refunds.refunded_by IS NULL;
ALTER TABLE refunds ALTER COLUMN refunded_by SET NOT NULL;
