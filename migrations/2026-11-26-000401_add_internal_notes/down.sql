-- Without the column, customers would see the notes.
DELETE FROM comments WHERE is_internal;
ALTER TABLE comments DROP COLUMN is_internal;
ALTER TABLE activities
    DROP CONSTRAINT activities_kind_check,
    ADD CONSTRAINT activities_kind_check CHECK (kind BETWEEN 1 AND 11);
