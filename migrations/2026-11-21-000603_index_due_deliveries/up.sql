-- Lock: SHARE on webhook_deliveries while the index is built, which holds writers up for as long as a scan of it takes.
-- Rollout: before the first worker of this version starts.

-- What is due is looked for by endpoint. It also finds what waits for a job, as the index before it did.
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 1;
DROP INDEX webhook_deliveries_pending_idx;
