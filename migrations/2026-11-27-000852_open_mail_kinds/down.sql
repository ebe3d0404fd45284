DELETE FROM mails WHERE kind IS NULL;
DROP INDEX mails_named_topic_key, mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28, 41, 42, 43);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28, 41, 42, 43);
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ALTER COLUMN kind SET NOT NULL,
    DROP COLUMN kind_name,
    DROP COLUMN is_urgent,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 43),
    ADD CONSTRAINT mails_parent_check CHECK (
        (kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 27, 28, 31, 32, 41, 42, 43)) = (parent_id IS NOT NULL)
    );
