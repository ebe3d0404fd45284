-- Purpose: users sign in with providers. kind of mails: 27 identity linked, 28 identity unlinked.
-- Lock: ACCESS EXCLUSIVE on users and mails for a moment, because neither is rewritten; SHARE ROW EXCLUSIVE on users, because
-- linked_identities refers to it. The checks of the mails take SHARE UPDATE EXCLUSIVE, and the indexes SHARE while the mails
-- are read: new mails wait.
-- Rollout: before the first server of this version starts. The version before does not read the new mails.

-- Whether the user has set a password; false after a registration with a provider, until a reset sets one.
ALTER TABLE users ADD COLUMN has_password boolean NOT NULL DEFAULT true;

-- The people at providers with whom users sign in.
CREATE TABLE linked_identities (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer text NOT NULL CHECK (char_length(issuer) <= 500),
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    -- The address that the provider had at the time of the link; null if it had none.
    email text CHECK (char_length(email) <= 254),
    created_at timestamptz NOT NULL,
    CONSTRAINT linked_identities_issuer_subject_key UNIQUE (issuer, subject)
);
-- Finds the identities of a user.
CREATE INDEX linked_identities_user_id_idx ON linked_identities (user_id);

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 28) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 27, 28)) = (parent_id IS NOT NULL)) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
-- The new kinds are urgent.
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28);
