-- Purpose: users and accounts can be deleted after a period of grace, and everything about them can be exported. kind of mails:
-- 15 scheduled deletion, 16 completed deletion.
-- Lock: ACCESS EXCLUSIVE on mails while all mails are read twice: new mails wait. Then ACCESS EXCLUSIVE on users and accounts for a
-- moment, because neither is rewritten, and the new tables refer to them.
-- Rollout: before the first server of this version starts. The version before can't read the new mails, and shows no scheduled
-- deletion: it is replaced before deletions are requested.

-- First, because the checks read all mails: no lock on users or accounts is held meanwhile.
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 16) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16)) = (parent_id IS NOT NULL)) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;

-- When the data is erased, or was; null unless a deletion is scheduled or done.
ALTER TABLE users ADD COLUMN deletion_at timestamptz;
ALTER TABLE accounts ADD COLUMN deletion_at timestamptz;

-- Enum columns carry the numbers of mainstay.identity.v1. state: 1 scheduled, 2 erasing, 3 done, 4 cancelled.
CREATE TABLE deletions (
    id uuid PRIMARY KEY,
    user_id uuid REFERENCES users (id),
    account_id uuid REFERENCES accounts (id),
    -- The deletion of the only member of the account, with which it was scheduled.
    with_deletion_id uuid REFERENCES deletions (id),
    requested_by uuid NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    erase_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT deletions_one_subject_check CHECK (num_nonnulls(user_id, account_id) = 1),
    CONSTRAINT deletions_finished_check CHECK ((state >= 3) = (finished_at IS NOT NULL))
);
CREATE INDEX deletions_created_at_idx ON deletions (created_at DESC, id DESC);
CREATE INDEX deletions_user_id_idx ON deletions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX deletions_account_id_idx ON deletions (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX deletions_with_deletion_id_idx ON deletions (with_deletion_id) WHERE with_deletion_id IS NOT NULL;
-- At most one deletion of a user or an account is open or done.
CREATE UNIQUE INDEX deletions_user_id_key ON deletions (user_id) WHERE state <> 4;
CREATE UNIQUE INDEX deletions_account_id_key ON deletions (account_id) WHERE state <> 4;

-- The people who are told of a deletion. The address is that of the request, because the user may be anonymized before the last
-- mail is sent. The rows are removed a day after the end.
CREATE TABLE deletion_notices (
    id uuid PRIMARY KEY,
    deletion_id uuid NOT NULL REFERENCES deletions (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254),
    language text NOT NULL CHECK (char_length(language) BETWEEN 2 AND 35),
    -- SHA-256 of the token that cancels the deletion; null until the mail is sent.
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX deletion_notices_deletion_id_idx ON deletion_notices (deletion_id);
CREATE INDEX deletion_notices_user_id_idx ON deletion_notices (user_id);

-- The report of an erasure. action: 1 erased, 2 anonymized, 3 kept.
CREATE TABLE erased_rows (
    deletion_id uuid NOT NULL REFERENCES deletions (id) ON DELETE CASCADE,
    table_name text NOT NULL,
    action smallint NOT NULL CHECK (action BETWEEN 1 AND 3),
    rows bigint NOT NULL CHECK (rows > 0),
    -- Why rows are kept; empty for other actions.
    reason text NOT NULL,
    PRIMARY KEY (deletion_id, table_name, action, reason)
);

-- state: 1 pending, 2 running, 3 succeeded, 4 failed.
CREATE TABLE data_exports (
    id uuid PRIMARY KEY,
    -- The user who requested it.
    user_id uuid NOT NULL REFERENCES users (id),
    -- The account whose data it has; null: that of the user.
    account_id uuid REFERENCES accounts (id),
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    items_total bigint NOT NULL DEFAULT 0,
    items_done bigint NOT NULL DEFAULT 0,
    -- The archive in the storage of files, under an id that can't be guessed.
    archive_id uuid,
    size_bytes bigint CHECK (size_bytes > 0),
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    -- When the archive is deleted.
    expires_at timestamptz,
    CONSTRAINT data_exports_finished_check CHECK ((state >= 3) = (finished_at IS NOT NULL)),
    CONSTRAINT data_exports_archive_check CHECK (
        (state = 3) = (expires_at IS NOT NULL) AND (state = 3) = (archive_id IS NOT NULL) AND (state = 3) = (size_bytes IS NOT NULL)
    )
);
CREATE INDEX data_exports_user_id_idx ON data_exports (user_id, created_at DESC, id DESC);
CREATE INDEX data_exports_account_id_idx ON data_exports (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX data_exports_created_at_idx ON data_exports (created_at);
-- A user has at most one export that is not finished.
CREATE UNIQUE INDEX data_exports_open_key ON data_exports (user_id) WHERE state <= 2;
