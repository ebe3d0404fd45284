-- Purpose: accounts, users, service keys, the keys that sign access tokens, and password resets.
-- Lock: none that matters; all tables are new.
-- Rollout: before the first server starts.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL
);

-- role: the numbers of mainstay.policy.v1.Role: 1 customer, 2 agent, 3 admin.
CREATE TABLE users (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- ASCII without capitals: the server folds an address before it stores or looks for one, so that nothing is left
    -- to the database's idea of lower case.
    email text NOT NULL CONSTRAINT users_email_key UNIQUE
        CHECK (char_length(email) BETWEEN 3 AND 254 AND email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 500),
    role smallint NOT NULL CHECK (role BETWEEN 1 AND 3),
    -- The language of mail: a BCP 47 tag, in the case that RFC 5646 recommends.
    language text NOT NULL DEFAULT 'en' CHECK (char_length(language) BETWEEN 2 AND 35),
    -- A PHC string (argon2id).
    password_hash text NOT NULL,
    -- Sessions of an earlier epoch can't be refreshed, even if Redis could not be informed.
    session_epoch integer NOT NULL DEFAULT 0,
    -- The avatar in the storage of files, under an id that can't be guessed.
    avatar_id uuid,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- One index per way to filter a list, each in the list's order.
CREATE INDEX users_created_at_idx ON users (created_at DESC, id DESC);
CREATE INDEX users_account_id_idx ON users (account_id, created_at DESC, id DESC);
CREATE INDEX users_role_idx ON users (role, created_at DESC, id DESC);

CREATE TABLE service_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 500),
    -- SHA-256 of the secret. The secret has 256 random bits, so a slow hash would add nothing.
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- Qualified names, such as 'support.tickets.read'. Each module declares its own, so no check lists them.
    scopes text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 50),
    created_by uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX service_keys_created_at_idx ON service_keys (created_at DESC, id DESC);
CREATE INDEX service_keys_created_by_idx ON service_keys (created_by, created_at DESC, id DESC);

-- The keys that sign access tokens. A key is published before it starts to sign and after it has stopped.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    -- PKCS #8, encrypted with the server's secret key (AES-256-GCM, nonce first).
    private_key bytea NOT NULL,
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    created_at timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,
    retired_at timestamptz
);

-- What ends access tokens before they expire, and sessions whatever the session store says. Every instance reads the new
-- rows twice a second; a row is needed until the sessions would have ended.
CREATE TABLE revocations (
    -- The id of a session, or of a user.
    subject uuid PRIMARY KEY,
    -- For a user: the epoch that has begun.
    epoch integer,
    revoked_at timestamptz NOT NULL
);
CREATE INDEX revocations_revoked_at_idx ON revocations (revoked_at);

-- Each waits for its address to be confirmed by a token that is sent to it. There is one for an address that a user has,
-- too: the request costs the same, and only the mail differs.
CREATE TABLE registrations (
    id uuid PRIMARY KEY,
    -- As in users.
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    -- SHA-256 of the token; null until the mail is sent.
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    -- As in users.
    language text NOT NULL DEFAULT 'en' CHECK (char_length(language) BETWEEN 2 AND 35),
    expires_at timestamptz NOT NULL
);
-- Finds the other registrations of an address that has been confirmed.
CREATE INDEX registrations_email_idx ON registrations (email);
-- Finds the registrations that have expired and can be deleted.
CREATE INDEX registrations_expires_at_idx ON registrations (expires_at);

CREATE TABLE password_resets (
    -- SHA-256 of the token: whoever reads the table can't reset a password.
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX password_resets_user_id_idx ON password_resets (user_id);
-- Finds the resets that have expired and can be deleted.
CREATE INDEX password_resets_expires_at_idx ON password_resets (expires_at);

-- How often people tried to sign in, by hour of UTC: 1 is accepted, 2 refused. An hour has several rows, so that
-- concurrent sign-ins rarely wait for each other.
CREATE TABLE sign_ins (
    hour timestamptz NOT NULL,
    outcome smallint NOT NULL CHECK (outcome IN (1, 2)),
    slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 7),
    attempts bigint NOT NULL CHECK (attempts > 0),
    PRIMARY KEY (hour, outcome, slot)
);
