-- Lock: none that matters; a new table only. Rollout: before the first server of this version starts.

-- Enum columns carry the numbers of mainstay.webhooks.v1. provider: 1 stripe, 2 standard, 3 github. state: 1 pending,
-- 2 processed, 3 ignored, 4 dead.
CREATE TABLE inbound_events (
    id uuid PRIMARY KEY,
    provider smallint NOT NULL CHECK (provider BETWEEN 1 AND 3),
    provider_event_id text NOT NULL CHECK (char_length(provider_event_id) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 255),
    -- The body, byte for byte: what the signature was made over.
    payload bytea NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Why the last attempt failed.
    failure text,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    received_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT inbound_events_finished_check CHECK ((state = 1) = (finished_at IS NULL)),
    -- The arbiter of duplicates.
    CONSTRAINT inbound_events_provider_event_key UNIQUE (provider, provider_event_id)
);
CREATE INDEX inbound_events_received_at_idx ON inbound_events (received_at DESC, id DESC);
CREATE INDEX inbound_events_provider_idx ON inbound_events (provider, received_at DESC, id DESC);
CREATE INDEX inbound_events_state_idx ON inbound_events (state, received_at DESC, id DESC);
CREATE INDEX inbound_events_provider_state_idx ON inbound_events (provider, state, received_at DESC, id DESC);
