DELETE FROM mails WHERE kind > 31;
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 31),
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 27, 28, 31)) = (parent_id IS NOT NULL));
