-- Purpose: long-running operations, their uploaded files, and the rows that they refused.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because operations refers to it; all tables are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.operations.v1. kind: 1 import of tickets. state: 1 pending, 2 running,
-- 3 succeeded, 4 failed, 5 cancelled.
CREATE TABLE operations (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 1),
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
    -- The user or service key that started it; no reference, because it is one of two tables.
    owner_id uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- 1 CSV, 2 NDJSON.
    format smallint NOT NULL CHECK (format BETWEEN 1 AND 2),
    rows_total bigint NOT NULL DEFAULT 0,
    -- The checkpoint: the next run continues after this many rows.
    rows_done bigint NOT NULL DEFAULT 0,
    rows_created bigint NOT NULL DEFAULT 0,
    rows_known bigint NOT NULL DEFAULT 0,
    rows_failed bigint NOT NULL DEFAULT 0,
    failure_code text,
    failure_message text,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK (rows_done = rows_created + rows_known + rows_failed),
    -- Each final state has an end, and only a failure has a reason; a cancelled operation has none.
    CHECK ((state >= 3) = (finished_at IS NOT NULL)),
    CHECK ((state = 4) = (failure_code IS NOT NULL) AND (failure_code IS NULL) = (failure_message IS NULL))
);
CREATE INDEX operations_created_at_idx ON operations (created_at DESC, id DESC);
CREATE INDEX operations_account_idx ON operations (account_id, created_at DESC, id DESC);
CREATE INDEX operations_owner_idx ON operations (owner_id, created_at DESC, id DESC);
-- Finds the operations that ended long enough ago to be deleted.
CREATE INDEX operations_finished_at_idx ON operations (finished_at) WHERE finished_at IS NOT NULL;

-- The rows of the uploaded file that were refused.
CREATE TABLE operation_errors (
    operation_id uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    line bigint NOT NULL CHECK (line > 0),
    code text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (operation_id, line)
);

-- The uploaded file, in chunks; deleted when the operation ends.
CREATE TABLE upload_chunks (
    operation_id uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    position integer NOT NULL CHECK (position >= 0),
    data bytea NOT NULL,
    PRIMARY KEY (operation_id, position)
);
