CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (id) WHERE state = 1;
DROP INDEX webhook_deliveries_due_idx;
