DELETE FROM operations WHERE kind IS NULL OR format IS NULL;
ALTER TABLE operations
    DROP COLUMN kind_name,
    ALTER COLUMN format SET NOT NULL,
    ALTER COLUMN kind SET NOT NULL,
    ADD CONSTRAINT operations_kind_check CHECK (kind BETWEEN 1 AND 1);
