-- Lock: none that matters; new tables only. Rollout: before the first server of this version starts.

-- Enum columns carry the numbers of mainstay.webhooks.v1. status: 1 enabled, 2 disabled, 3 disabled for its failures.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    -- Whose events it is told; all of them where there is none.
    account_id uuid REFERENCES accounts (id),
    url text NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2048),
    description text NOT NULL CHECK (char_length(description) <= 200),
    -- Which events it is told; all of them when empty.
    kinds smallint[] NOT NULL,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    -- Since when nothing was taken; told anew by each success.
    failing_since timestamptz,
    -- Sealed with the server's secret.
    secret bytea NOT NULL,
    -- The secret before, which signs too until its time is over.
    old_secret bytea,
    old_secret_until timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT webhook_endpoints_old_secret_check CHECK ((old_secret IS NULL) = (old_secret_until IS NULL))
);
CREATE INDEX webhook_endpoints_created_at_idx ON webhook_endpoints (created_at DESC, id DESC);
CREATE INDEX webhook_endpoints_account_idx ON webhook_endpoints (account_id);
CREATE INDEX webhook_endpoints_enabled_idx ON webhook_endpoints (id) WHERE status = 1;

-- The outbox: rows are written by the transaction that caused them. state: 1 pending, 2 delivered, 3 failed.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    -- The same for every endpoint that is told, and each time it is told again.
    event_id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind > 0),
    payload text NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Attempts since it was made or sent again.
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    next_attempt_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT webhook_deliveries_next_check CHECK ((state = 1) = (next_attempt_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (id) WHERE state = 1;
CREATE INDEX webhook_deliveries_created_at_idx ON webhook_deliveries (created_at);

CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    started_at timestamptz NOT NULL,
    duration_ms bigint NOT NULL CHECK (duration_ms >= 0),
    -- The HTTP status; none when no answer came.
    status smallint,
    -- Why it is no success.
    failure text,
    PRIMARY KEY (delivery_id, number)
);
