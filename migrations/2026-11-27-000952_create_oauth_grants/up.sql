-- Purpose: codes, consents and sessions of applications.
-- Lock: ACCESS EXCLUSIVE on sessions while the table is read once for the index; SHARE ROW EXCLUSIVE on users and oauth_clients,
-- because the new tables refer to them.
-- Rollout: before the first server of this version starts. The version before takes the refresh token of an application for
-- that of a sign-in: register clients after the last server of the version before is replaced.

-- The application to which the user gave access, and the scopes; null for a sign-in of the user. The client may have been
-- deleted.
ALTER TABLE sessions ADD COLUMN client_id uuid, ADD COLUMN client_scopes text[];
-- Finds the sessions of an application that is deleted.
CREATE INDEX sessions_client_id_idx ON sessions (client_id) WHERE client_id IS NOT NULL;

CREATE TABLE oauth_codes (
    -- SHA-256 of the code.
    code_hash bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
    client_id uuid NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The session in which the user agreed, and its membership at that time.
    session_id uuid NOT NULL,
    member_id uuid,
    -- That of a loopback address is longer by its port than the registered one.
    redirect_uri text NOT NULL CHECK (char_length(redirect_uri) <= 510),
    scopes text[] NOT NULL,
    nonce text CHECK (char_length(nonce) <= 500),
    -- The PKCE challenge (RFC 7636): SHA-256 of the verifier.
    challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
    expires_at timestamptz NOT NULL,
    -- The session that the code began; null for a code that was not used.
    grant_id uuid
);
CREATE INDEX oauth_codes_client_id_idx ON oauth_codes (client_id);
CREATE INDEX oauth_codes_user_id_idx ON oauth_codes (user_id);
-- Finds the codes that have expired.
CREATE INDEX oauth_codes_expires_at_idx ON oauth_codes (expires_at);

CREATE TABLE oauth_consents (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id uuid NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX oauth_consents_client_id_idx ON oauth_consents (client_id);
