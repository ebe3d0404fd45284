-- Lock: none that matters; new tables only. Rollout: before the first server starts.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL
);

-- Roles carry the numbers of mainstay.policy.v1.Role: 1 customer, 2 agent, 3 admin.
CREATE TABLE users (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    role smallint NOT NULL CHECK (role BETWEEN 1 AND 3),
    -- A PHC string (argon2id).
    password_hash text NOT NULL,
    -- Sessions begun under an earlier epoch can't be refreshed, whether or not Redis could be told.
    session_epoch integer NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE INDEX users_created_at_idx ON users (created_at DESC, id DESC);
CREATE INDEX users_account_id_idx ON users (account_id, created_at DESC, id DESC);
CREATE INDEX users_role_idx ON users (role, created_at DESC, id DESC);

CREATE TABLE service_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the secret; the secret has 256 bits of its own, so a slow hash would add nothing.
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- The numbers of mainstay.policy.v1.Scope.
    scopes smallint[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 10),
    created_by uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX service_keys_created_at_idx ON service_keys (created_at DESC, id DESC);
CREATE INDEX service_keys_created_by_idx ON service_keys (created_by);

-- The keys that sign access tokens. A key is published before it signs and after it stopped.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    -- PKCS #8, sealed with the server's secret key (AES-256-GCM, nonce first).
    private_key bytea NOT NULL,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,
    retired_at timestamptz
);

CREATE TABLE password_resets (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX password_resets_user_id_idx ON password_resets (user_id);
CREATE INDEX password_resets_expires_at_idx ON password_resets (expires_at);

-- Login limits while Redis is away: GCRA's theoretical arrival time by hashed key.
CREATE TABLE login_limits (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    arrives_at timestamptz NOT NULL
);
CREATE INDEX login_limits_arrives_at_idx ON login_limits (arrives_at);
