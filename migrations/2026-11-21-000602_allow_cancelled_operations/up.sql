-- Lock: ACCESS EXCLUSIVE on operations, which holds readers and writers up for as long as a scan of it takes.
-- Rollout: before the first server of this version starts. Servers of the version before refuse to read an operation
-- that was cancelled.

-- 5: cancelled. It has an end, and no failure.
ALTER TABLE operations DROP CONSTRAINT operations_state_check;
ALTER TABLE operations ADD CONSTRAINT operations_state_check CHECK (state BETWEEN 1 AND 5);
