DELETE FROM operations WHERE account_id IS NULL;
ALTER TABLE operations ALTER COLUMN account_id SET NOT NULL;
