DROP TABLE ticket_links;
ALTER TABLE tickets DROP COLUMN merged_into_id;
ALTER TABLE activities
    DROP CONSTRAINT activities_kind_check,
    ADD CONSTRAINT activities_kind_check CHECK (kind BETWEEN 1 AND 14);
