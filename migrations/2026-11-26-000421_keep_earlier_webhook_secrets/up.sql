-- Purpose: the secrets of rotations before the last one also sign, each until its time.
-- Lock: ACCESS EXCLUSIVE on webhook_endpoints, which is not rewritten, while its few rows are checked.
-- Rollout: before the first server of this version starts. The version before keeps the columns as they are, and signs with the
-- latest of the earlier secrets only; its rotation discards that one, and leaves the others to expire.
ALTER TABLE webhook_endpoints
    -- Encrypted with the server's secret key, the latest first, after old_secret.
    ADD COLUMN older_secrets bytea[] NOT NULL DEFAULT '{}',
    ADD COLUMN older_secrets_until timestamptz[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT webhook_endpoints_older_secrets_check
        CHECK (cardinality(older_secrets) = cardinality(older_secrets_until));
