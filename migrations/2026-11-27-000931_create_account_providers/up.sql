-- Purpose: an account brings its own provider of OpenID Connect, with which its members sign in.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because account_providers refers to it.
-- Rollout: before the first server of this version starts.

CREATE TABLE account_providers (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    issuer text NOT NULL CHECK (char_length(issuer) <= 500),
    client_id text NOT NULL CHECK (char_length(client_id) BETWEEN 1 AND 200),
    -- Sealed with SECRET_KEY; null for a client that PKCE alone protects.
    client_secret bytea,
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 60),
    -- Since when members must sign in with the provider; null if they need not.
    enforced_at timestamptz,
    groups_claim text NOT NULL CHECK (char_length(groups_claim) BETWEEN 1 AND 100),
    -- The groups in the order in which they count, and the role of each: the number of a built-in role, or the id of a custom one.
    group_names text[] NOT NULL,
    group_roles text[] NOT NULL,
    -- As in members, without 1 owner.
    default_role smallint NOT NULL CHECK (default_role BETWEEN 2 AND 5),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT account_providers_groups_check CHECK (cardinality(group_names) = cardinality(group_roles)),
    CONSTRAINT account_providers_account_id_key UNIQUE (account_id)
);
-- The order of lists.
CREATE INDEX account_providers_created_at_idx ON account_providers (created_at DESC, id DESC);

-- Callers of an account reach its rows only.
SELECT isolate_rows('account_providers');
