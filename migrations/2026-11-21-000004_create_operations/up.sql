-- Lock: none that matters; new tables only. Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.operations.v1.
CREATE TABLE operations (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 1),
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- Who began it: a user or a service key.
    owner_id uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- 1 CSV, 2 NDJSON.
    format smallint NOT NULL CHECK (format BETWEEN 1 AND 2),
    -- Where the next run goes on: the rows before this one are stored.
    rows_total bigint NOT NULL DEFAULT 0,
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
    CHECK ((state >= 3) = (finished_at IS NOT NULL)),
    CHECK ((state = 4) = (failure_code IS NOT NULL) AND (failure_code IS NULL) = (failure_message IS NULL))
);
CREATE INDEX operations_created_at_idx ON operations (created_at DESC, id DESC);
CREATE INDEX operations_account_idx ON operations (account_id, created_at DESC, id DESC);
CREATE INDEX operations_owner_idx ON operations (owner_id, created_at DESC, id DESC);

CREATE TABLE operation_errors (
    operation_id uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    line bigint NOT NULL CHECK (line > 0),
    code text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (operation_id, line)
);

-- The uploaded file, in pieces; removed when the operation ends.
CREATE TABLE upload_chunks (
    operation_id uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    position integer NOT NULL CHECK (position >= 0),
    data bytea NOT NULL,
    PRIMARY KEY (operation_id, position)
);

-- What was imported before: a row is known by its account, its content and its how-many-eth occurrence in a file.
CREATE TABLE imported_rows (
    account_id uuid NOT NULL REFERENCES accounts (id),
    row_hash bytea NOT NULL CHECK (octet_length(row_hash) = 32),
    occurrence integer NOT NULL CHECK (occurrence > 0),
    ticket_id uuid NOT NULL,
    PRIMARY KEY (account_id, row_hash, occurrence)
);
