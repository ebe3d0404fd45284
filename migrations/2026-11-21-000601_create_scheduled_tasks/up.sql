-- Lock: SHARE on operations while its index is built, which holds writers up for as long as a scan of it takes.
-- Rollout: before the first worker of this version starts.

-- One row per task of the schedule. Whoever moves last_started_at on has the task in hand.
CREATE TABLE scheduled_tasks (
    name text PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 100),
    last_started_at timestamptz,
    -- Before last_started_at, or none: it runs, or its worker died in it.
    last_finished_at timestamptz,
    last_succeeded_at timestamptz,
    -- Why the last run failed; none: it did not.
    last_error text
);

-- What is forgotten is found by its end.
CREATE INDEX operations_finished_at_idx ON operations (finished_at) WHERE finished_at IS NOT NULL;
