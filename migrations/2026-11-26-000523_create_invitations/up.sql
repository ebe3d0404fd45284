-- Purpose: invitations of e-mail addresses to accounts. kind of mails: 14 invitation.
-- Lock: SHARE ROW EXCLUSIVE on accounts, users and roles for a moment, because invitations refers to them; ACCESS EXCLUSIVE on
-- mails for a moment, because it is not rewritten. The checks of the mails take SHARE UPDATE EXCLUSIVE.
-- Rollout: before the first server of this version starts. The version before can't read the new mails: it is replaced
-- before invitations are sent.

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- As in users.
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    -- As in members.
    role smallint CHECK (role BETWEEN 1 AND 5),
    custom_role_id uuid REFERENCES roles (id),
    invited_by uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the token; null until the mail is sent.
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT invitations_one_role_check CHECK ((role IS NULL) <> (custom_role_id IS NULL)),
    -- One at most is open.
    CONSTRAINT invitations_account_id_email_key UNIQUE (account_id, email)
);
-- One index per way to list invitations.
CREATE INDEX invitations_created_at_idx ON invitations (created_at DESC, id DESC);
CREATE INDEX invitations_account_id_idx ON invitations (account_id, created_at DESC, id DESC);
-- Finds the invitations of a member who leaves.
CREATE INDEX invitations_invited_by_idx ON invitations (invited_by);
-- Finds the invitations with a custom role.
CREATE INDEX invitations_custom_role_id_idx ON invitations (custom_role_id) WHERE custom_role_id IS NOT NULL;
-- Finds the invitations that have expired and can be deleted.
CREATE INDEX invitations_expires_at_idx ON invitations (expires_at);

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 14) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14)) = (parent_id IS NOT NULL)) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
