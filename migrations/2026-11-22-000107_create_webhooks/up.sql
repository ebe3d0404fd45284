-- Purpose: events that providers send us, the endpoints that we send events to, and the deliveries to them.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because webhook_endpoints refers to it; all tables are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.webhooks.v1. provider: 1 stripe, 2 standard, 3 github, 4 sendgrid. state: 1 pending,
-- 2 processed, 3 ignored, 4 dead.
CREATE TABLE inbound_events (
    id uuid PRIMARY KEY,
    provider smallint NOT NULL CHECK (provider BETWEEN 1 AND 4),
    provider_event_id text NOT NULL CHECK (char_length(provider_event_id) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 255),
    -- The body, byte for byte, because the signature covers exactly that.
    payload bytea NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The error of the last attempt to process it.
    failure text,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT inbound_events_finished_check CHECK ((state = 1) = (finished_at IS NULL)),
    -- Decides whether an event is a duplicate: providers send events again.
    CONSTRAINT inbound_events_provider_event_key UNIQUE (provider, provider_event_id)
);
CREATE INDEX inbound_events_received_at_idx ON inbound_events (received_at DESC, id DESC);
CREATE INDEX inbound_events_provider_idx ON inbound_events (provider, received_at DESC, id DESC);
CREATE INDEX inbound_events_state_idx ON inbound_events (state, received_at DESC, id DESC);
CREATE INDEX inbound_events_provider_state_idx ON inbound_events (provider, state, received_at DESC, id DESC);

-- Enum columns carry the numbers of mainstay.webhooks.v1. status: 1 enabled, 2 disabled, 3 disabled because of its
-- failures.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    -- The account whose events it receives; null: those of all accounts.
    account_id uuid REFERENCES accounts (id),
    url text NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2048),
    description text NOT NULL CHECK (char_length(description) <= 200),
    -- The kinds of events it receives, by their qualified names; empty: all of them.
    kinds text[] NOT NULL,
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    -- The first failure since the last success.
    failing_since timestamptz,
    -- Encrypted with the server's secret key.
    secret bytea NOT NULL,
    -- The previous secret, which also signs until it expires, so that the receiver has time to change over.
    old_secret bytea,
    old_secret_until timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT webhook_endpoints_old_secret_check CHECK ((old_secret IS NULL) = (old_secret_until IS NULL))
);
CREATE INDEX webhook_endpoints_created_at_idx ON webhook_endpoints (created_at DESC, id DESC);
CREATE INDEX webhook_endpoints_account_idx ON webhook_endpoints (account_id);
-- Finds the endpoints that receive events.
CREATE INDEX webhook_endpoints_enabled_idx ON webhook_endpoints (id) WHERE status = 1;

-- The outbox, by months: the transaction that causes an event writes its deliveries. state: 1 pending, 2 delivered, 3 failed.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    -- No reference: an endpoint may have so many deliveries that deleting them with it would take too long. The
    -- endpoint is deleted at once, and a job deletes its deliveries in batches. Transactions that add deliveries lock
    -- the endpoint against deletion, so none is added to a deleted one.
    endpoint_id uuid NOT NULL,
    -- The same for all endpoints that receive the event, and each time it is sent again.
    event_id uuid NOT NULL,
    -- The qualified name, such as support.ticket.created.
    kind text NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 255),
    payload text NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Attempts since it was created, or last sent again on request.
    attempts_since_resend integer NOT NULL DEFAULT 0 CHECK (attempts_since_resend >= 0),
    next_attempt_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT webhook_deliveries_next_check CHECK ((state = 1) = (next_attempt_at IS NOT NULL))
) PARTITION BY RANGE (id);
CREATE TABLE webhook_deliveries_rest PARTITION OF webhook_deliveries DEFAULT;
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, created_at DESC, id DESC);
-- Lists the deliveries of an endpoint that failed, however many did not.
CREATE INDEX webhook_deliveries_failed_idx ON webhook_deliveries (endpoint_id, created_at DESC, id DESC)
    WHERE state = 3;
-- Finds the due deliveries of an endpoint, and the pending ones that have no job.
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 1;
-- Counts the deliveries of the last hours by state.
CREATE INDEX webhook_deliveries_created_at_idx ON webhook_deliveries (created_at);

-- By the months of the deliveries, not of the attempts, so that both leave together. No reference: to detach a month of
-- deliveries, Postgres would look for references to it, and hold up writers meanwhile. An attempt is added while its endpoint
-- is locked, and deliveries are deleted only after their endpoint, their attempts first: so none is left.
CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    started_at timestamptz NOT NULL,
    duration_ms bigint NOT NULL CHECK (duration_ms >= 0),
    -- The HTTP status; null: no response arrived.
    status smallint,
    -- Why it failed; null: it succeeded.
    failure text,
    PRIMARY KEY (delivery_id, number)
) PARTITION BY RANGE (delivery_id);
CREATE TABLE webhook_attempts_rest PARTITION OF webhook_attempts DEFAULT;
