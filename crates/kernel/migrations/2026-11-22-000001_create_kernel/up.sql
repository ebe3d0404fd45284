-- Purpose: the tables of the machinery, which know no module of the product, and a trigger function for any module.
-- Lock: none that matters; all tables are new.
-- Rollout: before the first server starts, and before the migrations of the modules, which use refuse_change().

-- One row per (principal, RPC, key). The row commits together with the effect whose answer it stores. Its primary key
-- alone decides which of two concurrent requests with the same key is carried out.
CREATE TABLE idempotency_keys (
    -- SHA-256 over principal, RPC and key, so that the table reveals neither a key nor a person.
    scope_hash bytea PRIMARY KEY CHECK (octet_length(scope_hash) = 32),
    -- SHA-256 over the canonical request: reveals a key that is reused for a different request.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- The code of the error that was answered; null: it succeeded.
    error_code text,
    -- The encoded response, or mainstay.error.v1.Error. Null once it was removed and only the fact of use remains.
    answer bytea,
    -- Set while the work behind a 202 is running: a retry is answered with the operation's current state.
    operation_id uuid,
    -- What the caller reached: everything (0), an account (1 and its id) or itself (2 and its id). The answer is repeated
    -- only to a caller who still reaches as much.
    visibility bytea NOT NULL CHECK (octet_length(visibility) IN (1, 17)),
    created_at timestamptz NOT NULL
);
-- Finds the keys that are old enough to be deleted.
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
-- Answers are kept for a day, but keys for thirty: finds old answers without reading the keys that have none any more.
CREATE INDEX idempotency_keys_answered_idx ON idempotency_keys (created_at) WHERE answer IS NOT NULL;

-- One row per task of the schedule. The worker whose update advances last_started_at runs the task.
CREATE TABLE scheduled_tasks (
    name text PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 100),
    last_started_at timestamptz,
    -- Null or before last_started_at: the task is running, or its worker died during the run.
    last_finished_at timestamptz,
    last_succeeded_at timestamptz,
    -- The error of the last run; null if it succeeded.
    last_error text
);

-- The log of attempts, such as to sign in, while Redis is unavailable. A limited key has as many rows (slots) as its quota has
-- requests, and each attempt occupies one.
CREATE TABLE attempt_limits (
    -- SHA-256 over the limited key's hash and the number of the slot.
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    -- When the slot becomes free again.
    arrives_at timestamptz NOT NULL
);
-- Finds the slots that have expired and can be deleted.
CREATE INDEX attempt_limits_arrives_at_idx ON attempt_limits (arrives_at);

-- For the triggers of append-only tables, in every module.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
