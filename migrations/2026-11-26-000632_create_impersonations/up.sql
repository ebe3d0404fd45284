-- Purpose: staff acts in the name of a user, for a limited time.
-- Lock: SHARE ROW EXCLUSIVE on users and accounts for a moment, because impersonations refers to them.
-- Rollout: before the first server of this version starts. The version before takes the access token of an impersonation for
-- one of the user: it is replaced before staff has the scope.
CREATE TABLE impersonations (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    impersonator_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reason text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
    allows_writes boolean NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX impersonations_user_id_idx ON impersonations (user_id);
CREATE INDEX impersonations_account_id_idx ON impersonations (account_id);
CREATE INDEX impersonations_impersonator_id_idx ON impersonations (impersonator_id);
-- Lists those that were not ended early.
CREATE INDEX impersonations_open_idx ON impersonations (created_at DESC, id DESC) WHERE ended_at IS NULL;
