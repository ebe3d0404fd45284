-- Purpose: applications sign people in with this service by OpenID Connect.
-- Lock: none on a table that has rows.
-- Rollout: before the first server of this version starts. The version before does not use the table.

CREATE TABLE oauth_clients (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    redirect_uris text[] NOT NULL CHECK (cardinality(redirect_uris) BETWEEN 1 AND 20),
    -- 1 authorization code, 2 refresh token.
    grant_types smallint[] NOT NULL CHECK (grant_types <@ ARRAY[1, 2]::smallint[] AND cardinality(grant_types) > 0),
    scopes text[] NOT NULL CHECK (cardinality(scopes) <= 50),
    is_first_party boolean NOT NULL,
    -- SHA-256 of the secret; null for a public client.
    secret_hash bytea CHECK (octet_length(secret_hash) = 32),
    -- That of the secret before the last rotation.
    earlier_secret_hash bytea CHECK (octet_length(earlier_secret_hash) = 32),
    earlier_expires_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The secret alone proves that the operator's own application asks.
    CONSTRAINT oauth_clients_first_party_check CHECK (NOT is_first_party OR secret_hash IS NOT NULL)
);
CREATE INDEX oauth_clients_created_at_idx ON oauth_clients (created_at DESC, id DESC);
