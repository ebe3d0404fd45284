-- Purpose: devices without a browser get access to what a person allows on another device (RFC 8628).
-- Lock: ACCESS EXCLUSIVE on oauth_clients, which is not rewritten, while its few rows are checked; SHARE ROW EXCLUSIVE on users
-- and oauth_clients, because the new table refers to them.
-- Rollout: before the first server of this version starts. The version before can't read a client with the new grant: register
-- such clients after the last server of the version before is replaced.
ALTER TABLE oauth_clients
    DROP CONSTRAINT oauth_clients_grant_types_check,
    -- 1 authorization code, 2 refresh token, 3 client credentials, 4 device code.
    ADD CONSTRAINT oauth_clients_grant_types_check CHECK (
        grant_types <@ ARRAY[1, 2, 3, 4]::smallint[] AND cardinality(grant_types) > 0
    );

CREATE TABLE oauth_devices (
    -- SHA-256 of the code that the device has.
    code_hash bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
    -- A MAC of the short code that the person enters: a hash of so few letters would reveal them.
    user_code_mac bytea NOT NULL CHECK (octet_length(user_code_mac) = 32),
    client_id uuid NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    scopes text[] NOT NULL,
    -- The address of the device, which the person sees.
    ip_address text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- How long the device waits between two requests for tokens, and when it sent the last one.
    interval_seconds smallint NOT NULL CHECK (interval_seconds BETWEEN 5 AND 60),
    polled_at timestamptz,
    -- The decision of a person, in a session with its membership at that time; null while there is none.
    is_allowed boolean,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    session_id uuid,
    member_id uuid,
    -- The session that the code began; null for a code that was not used.
    grant_id uuid,
    CONSTRAINT oauth_devices_decision_check CHECK (
        (is_allowed IS NULL) = (user_id IS NULL) AND (is_allowed IS NULL) = (session_id IS NULL)
        AND (grant_id IS NULL OR is_allowed)
    )
);
CREATE UNIQUE INDEX oauth_devices_user_code_mac_idx ON oauth_devices (user_code_mac);
CREATE INDEX oauth_devices_client_id_idx ON oauth_devices (client_id);
CREATE INDEX oauth_devices_user_id_idx ON oauth_devices (user_id) WHERE user_id IS NOT NULL;
-- Finds the codes that have expired.
CREATE INDEX oauth_devices_expires_at_idx ON oauth_devices (expires_at);
