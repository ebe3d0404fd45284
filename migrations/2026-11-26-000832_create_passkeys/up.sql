-- Purpose: users sign in with passkeys.
-- Lock: ACCESS EXCLUSIVE on sessions for a moment, because it is not rewritten; its check is validated under SHARE UPDATE
-- EXCLUSIVE. SHARE ROW EXCLUSIVE on users, because passkeys refers to it.
-- Rollout: before the first server of this version starts. The version before cannot read sessions that begin with a passkey:
-- their requests fail there. It knows the authenticator app as the only second factor: a user with passkeys alone signs in
-- there with a recovery code. Add passkeys once its last server is replaced.

-- method: 3 passkey.
ALTER TABLE sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN (1, 2, 3)) NOT VALID;
ALTER TABLE sessions VALIDATE CONSTRAINT sessions_method_check;

-- The passkeys of users. secret of second_factors is empty for a user with passkeys and without an authenticator app.
CREATE TABLE passkeys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- The id that the authenticator gave it.
    credential_id bytea NOT NULL CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    -- COSE (RFC 9052), like the number of the algorithm.
    public_key bytea NOT NULL CHECK (octet_length(public_key) <= 2000),
    algorithm integer NOT NULL,
    -- The number of signatures at the last use; 0 forever if the authenticator does not count.
    counter bigint NOT NULL CHECK (counter BETWEEN 0 AND 4294967295),
    transports text[] NOT NULL CHECK (cardinality(transports) <= 10),
    is_synced boolean NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT passkeys_credential_id_key UNIQUE (credential_id)
);
-- Finds the passkeys of a user.
CREATE INDEX passkeys_user_id_idx ON passkeys (user_id);
