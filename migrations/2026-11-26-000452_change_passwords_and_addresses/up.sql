-- Purpose: users change their password, which keeps the session that asks for it, and their address. kind of mails: 11
-- changed password, 12 confirmation of an address, 13 changed address.
-- Lock: ACCESS EXCLUSIVE on users, revocations and mails for a moment, because none is rewritten; SHARE ROW EXCLUSIVE on
-- users, because email_changes refers to it. The checks of the mails take SHARE UPDATE EXCLUSIVE, and the indexes SHARE
-- while the mails are read: new mails wait.
-- Rollout: before the first server of this version starts. The version before can't read the new mails, and keeps the kept
-- session of a user when it ends all sessions: passwords and addresses are changed once it is replaced.

-- The session that began the present epoch, and continues in it.
ALTER TABLE users ADD COLUMN kept_session_id uuid;
-- For a user: the same.
ALTER TABLE revocations ADD COLUMN kept_session_id uuid;

-- A change waits until the new address is confirmed. Then it can be undone from the address before.
CREATE TABLE email_changes (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- As in users.
    new_email text NOT NULL
        CHECK (char_length(new_email) BETWEEN 3 AND 254 AND new_email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    -- The epoch of the user at the request: a change that waits ends with the sessions of its time.
    session_epoch integer NOT NULL,
    -- SHA-256 of the token that confirms the change or, once it is confirmed, of the one that undoes it; null until the mail
    -- with the token is sent.
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    -- The address before, and when it was replaced; null while the change waits.
    old_email text
        CHECK (char_length(old_email) BETWEEN 3 AND 254 AND old_email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    confirmed_at timestamptz,
    expires_at timestamptz NOT NULL,
    CONSTRAINT email_changes_confirmed_check CHECK ((confirmed_at IS NULL) = (old_email IS NULL))
);
CREATE INDEX email_changes_user_id_idx ON email_changes (user_id);
-- Finds the changes that have expired and can be deleted.
CREATE INDEX email_changes_expires_at_idx ON email_changes (expires_at);

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 13) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13)) = (parent_id IS NOT NULL)) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
-- The new kinds are urgent.
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13);
