-- Purpose: calls to outside APIs that take effect once, until their outcome is stored.
-- Lock: none; the table is new.
-- Rollout: before the first server of this version starts. The version before reads none of it.

CREATE TABLE effects (
    -- The key under which the API is called.
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (octet_length(kind) <= 100),
    -- The resource that the outcome changes. No reference: it belongs to any module, which may remove it meanwhile.
    resource_id uuid NOT NULL,
    -- Ids, and never secrets.
    request json NOT NULL,
    -- The attempts so far. A worker that stores an attempt fences those before it.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- When the API can be asked whether an attempt took effect; null if none can have.
    lookup_at timestamptz,
    -- Until when the API is known to do the same under the same key.
    repeat_until timestamptz,
    created_at timestamptz NOT NULL,
    UNIQUE (kind, resource_id)
);
