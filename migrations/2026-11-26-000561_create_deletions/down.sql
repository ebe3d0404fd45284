DELETE FROM mails WHERE kind > 14;
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 14),
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14)) = (parent_id IS NOT NULL));
DROP TABLE data_exports, erased_rows, deletion_notices, deletions;
ALTER TABLE accounts DROP COLUMN deletion_at;
ALTER TABLE users DROP COLUMN deletion_at;
