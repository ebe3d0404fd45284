-- Lock: none that matters; new table only. Rollout: before the first server starts.

-- One row per (principal, RPC, key). It commits with the effect it stands for; its primary key is the only arbiter.
CREATE TABLE idempotency_keys (
    -- SHA-256 over principal, RPC and key, so that neither a key nor a person is readable here.
    scope_hash bytea PRIMARY KEY CHECK (octet_length(scope_hash) = 32),
    -- SHA-256 over the canonical request.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- The number of mainstay.error.v1.Reason; 0: it succeeded.
    reason smallint NOT NULL CHECK (reason >= 0),
    -- The encoded answer, or mainstay.error.v1.Error; null once only the tombstone is left.
    answer bytea,
    -- Set while the work behind a 202 goes on: a retry is answered with its current state.
    operation_id uuid,
    created_at timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
