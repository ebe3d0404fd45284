-- Purpose: kinds of mail by name, which modules declare; the lane of a mail, which follows from its kind.
-- Lock: ACCESS EXCLUSIVE on mails while the mails are read four times: new mails wait. No other table is locked.
-- Rollout: before the first server of this version starts. The version before reads the mails of its own kinds, whose numbers
-- are stored beside their names. It never takes mail of a module's own kind, and its list of failed mails can't read such a
-- row. The urgent mail that it stores is in the other lane for servers of this version. Its search for due mail reads the whole
-- table, because the conditions of the indexes are others. Replace its servers soon.

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    DROP CONSTRAINT mails_parent_check,
    -- Null: a kind that a module of a team declares.
    ALTER COLUMN kind DROP NOT NULL,
    -- Null: the version before stored the mail.
    ADD COLUMN kind_name text CHECK (char_length(kind_name) BETWEEN 1 AND 100),
    ADD COLUMN is_urgent boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT mails_kind_check CHECK (kind IS NOT NULL OR kind_name IS NOT NULL) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
UPDATE mails SET is_urgent = true
    WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28, 41, 42, 43);
-- One mail of a team's kind per topic and parent, such as a member of an account.
CREATE UNIQUE INDEX mails_named_topic_key
    ON mails (kind_name, topic_id, coalesce(parent_id, '00000000-0000-0000-0000-000000000000')) WHERE kind IS NULL;
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND is_urgent;
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND NOT is_urgent;
