DROP TABLE second_factors;
ALTER TABLE users DROP COLUMN second_factor_at;
ALTER TABLE accounts DROP COLUMN requires_second_factor;
DELETE FROM mails WHERE kind > 16;
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13);
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 16),
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16)) = (parent_id IS NOT NULL));
