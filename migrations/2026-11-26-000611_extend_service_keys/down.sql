-- The version before would take the keys of accounts for keys of the platform.
DELETE FROM service_keys WHERE account_id IS NOT NULL;
ALTER TABLE service_keys
    DROP COLUMN account_id, DROP COLUMN member_id, DROP COLUMN user_id, DROP COLUMN version, DROP COLUMN allowed_networks,
    DROP COLUMN known_networks, DROP COLUMN last_used_at, DROP COLUMN earlier_secret_hash, DROP COLUMN earlier_expires_at;
