-- Purpose: users can be deactivated, with a reason.
-- Lock: ACCESS EXCLUSIVE on users for a moment, because it is not rewritten; the check of its rows takes SHARE UPDATE
-- EXCLUSIVE, and the index SHARE while the users are read: sign-ins and changes of users wait, reads do not.
-- Rollout: before the first server of this version starts. The version before lets deactivated users sign in: users are
-- deactivated once it is replaced.
ALTER TABLE users
    -- Both are null while the user is active.
    ADD COLUMN deactivated_at timestamptz,
    ADD COLUMN deactivation_reason text,
    ADD CONSTRAINT users_deactivation_check CHECK (
        (deactivated_at IS NULL) = (deactivation_reason IS NULL) AND char_length(deactivation_reason) BETWEEN 1 AND 300
    ) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT users_deactivation_check;
-- Lists the deactivated users, who are few. Other lists find the active ones among all.
CREATE INDEX users_deactivated_idx ON users (created_at DESC, id DESC) WHERE deactivated_at IS NOT NULL;
