-- Purpose: sessions live in Postgres, so that the loss of Redis signs out no user.
-- Lock: SHARE ROW EXCLUSIVE on users for a moment, because sessions refers to it.
-- Rollout: before the first server of this version starts. The version before keeps its sessions in Redis, and neither version
-- reads those of the other: each user signs in once more. While both versions serve, a session of one is refused by the other,
-- which also clears the cookie: users sign in repeatedly until the last server of the version before is replaced. Replace all
-- servers quickly.

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The user's epoch at the last refresh.
    epoch integer NOT NULL,
    -- The generation of the valid refresh token.
    generation bigint NOT NULL,
    -- The account whose data the session reaches, and the membership; null without one. The membership may have ended.
    account_id uuid,
    member_id uuid,
    -- When the user last proved who they are, and how: 1 password, 2 sign-in provider.
    authenticated_at timestamptz NOT NULL,
    method smallint NOT NULL CHECK (method IN (1, 2)),
    has_second_factor boolean NOT NULL,
    user_agent text NOT NULL CHECK (char_length(user_agent) <= 200),
    ip_address text NOT NULL CHECK (char_length(ip_address) <= 50),
    created_at timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- An ended session is kept until it would have expired, so that ending it again changes nothing.
    ended boolean NOT NULL,
    -- The version for the compare-and-swap of a refresh.
    version bigint NOT NULL,
    CHECK ((account_id IS NULL) = (member_id IS NULL))
) WITH (fillfactor = 80);
-- Finds the sessions of a user.
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
-- Finds the sessions of an account that is erased.
CREATE INDEX sessions_account_id_idx ON sessions (account_id) WHERE account_id IS NOT NULL;
-- Finds the sessions that have expired.
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
