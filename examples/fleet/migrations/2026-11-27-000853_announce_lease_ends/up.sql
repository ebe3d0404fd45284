-- Purpose: leases whose end was announced by mail.
-- Lock: ACCESS EXCLUSIVE on leases for a moment, because it is not rewritten; SHARE while the index is built.
-- Rollout: before the first server of this version starts.
ALTER TABLE leases ADD COLUMN announced_at timestamptz;
CREATE INDEX leases_unannounced_idx ON leases (expires_at) WHERE ended_at IS NULL AND announced_at IS NULL;
