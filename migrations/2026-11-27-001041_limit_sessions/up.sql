-- Purpose: roles and accounts shorten the lifetime of sessions.
-- Lock: ACCESS EXCLUSIVE on accounts, roles and sessions for a moment, because none is rewritten; the check of the rows of
-- accounts takes SHARE UPDATE EXCLUSIVE, and that of the few roles is part of the moment.
-- Rollout: before the first server of this version starts. The version before ignores the limits: set them after the last server
-- of the version before is replaced.
ALTER TABLE roles
    -- The longest time between two uses of a session, and since the last proof of who the user is; null for no limit of the role.
    ADD COLUMN session_idle_seconds integer,
    ADD COLUMN session_max_age_seconds integer,
    ADD CONSTRAINT roles_session_limits_check CHECK (
        session_idle_seconds BETWEEN 900 AND 31536000 AND session_max_age_seconds BETWEEN 900 AND 31536000
    );

ALTER TABLE accounts
    -- The same for all members.
    ADD COLUMN session_idle_seconds integer,
    ADD COLUMN session_max_age_seconds integer,
    ADD CONSTRAINT accounts_session_limits_check CHECK (
        session_idle_seconds BETWEEN 900 AND 31536000 AND session_max_age_seconds BETWEEN 900 AND 31536000
    ) NOT VALID;
ALTER TABLE accounts VALIDATE CONSTRAINT accounts_session_limits_check;

ALTER TABLE sessions
    -- The longest time between two uses since the last proof, with which the limits of another account are compared.
    ADD COLUMN longest_pause_seconds integer NOT NULL DEFAULT 0,
    -- When the user last signed in or authenticated again; null in a session of the version before, which began so. An
    -- application has that of the session in which the user agreed. A provider may not say when it authenticated the user, so
    -- that authenticated_at can be earlier.
    ADD COLUMN proved_at timestamptz;
