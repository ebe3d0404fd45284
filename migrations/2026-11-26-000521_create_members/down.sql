COMMENT ON COLUMN users.account_id IS NULL;
DROP TABLE members;
DROP INDEX accounts_created_at_idx, accounts_name_idx;
ALTER TABLE accounts DROP COLUMN version, DROP COLUMN updated_at;
