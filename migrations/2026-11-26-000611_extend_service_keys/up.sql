-- Purpose: service keys of accounts, personal access tokens of members, rotation with an overlap, networks and the last use.
-- Lock: ACCESS EXCLUSIVE on service_keys, which is not rewritten, while its few rows are checked and indexed; SHARE ROW
-- EXCLUSIVE on accounts, members and users for a moment, because service_keys refers to them.
-- Rollout: before the first server of this version starts. The version before refuses the new secrets, whose checksum it does
-- not know: programs use them once it is replaced. It ignores networks: keys of before get none until then.
ALTER TABLE service_keys
    -- The account whose data the key reaches; null for a key of the platform.
    ADD COLUMN account_id uuid REFERENCES accounts (id) ON DELETE CASCADE,
    -- The membership of a personal access token, which ends with it, and its user; null for other keys.
    ADD COLUMN member_id uuid REFERENCES members (id) ON DELETE CASCADE,
    ADD COLUMN user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    -- Each rotation increments it.
    ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version BETWEEN 1 AND 2147483647),
    -- Networks in CIDR notation. Every address is allowed if there are none.
    ADD COLUMN allowed_networks text[] NOT NULL DEFAULT '{}' CHECK (cardinality(allowed_networks) <= 16),
    -- The networks of the last uses, the latest first.
    ADD COLUMN known_networks text[] NOT NULL DEFAULT '{}' CHECK (cardinality(known_networks) <= 64),
    -- Within an hour of the last use.
    ADD COLUMN last_used_at timestamptz,
    -- SHA-256 of the secret before the last rotation, and until when it is accepted.
    ADD COLUMN earlier_secret_hash bytea CHECK (octet_length(earlier_secret_hash) = 32),
    ADD COLUMN earlier_expires_at timestamptz,
    ADD CONSTRAINT service_keys_person_check CHECK (
        (member_id IS NULL) = (user_id IS NULL) AND (member_id IS NULL OR account_id IS NOT NULL)
    ),
    -- What belongs to an account ends some day.
    ADD CONSTRAINT service_keys_expiry_check CHECK (account_id IS NULL OR expires_at IS NOT NULL),
    ADD CONSTRAINT service_keys_earlier_check CHECK ((earlier_secret_hash IS NULL) = (earlier_expires_at IS NULL));
-- One index per way to list keys.
CREATE INDEX service_keys_account_id_idx ON service_keys (account_id, created_at DESC, id DESC) WHERE account_id IS NOT NULL;
CREATE INDEX service_keys_user_id_idx ON service_keys (user_id, created_at DESC, id DESC) WHERE user_id IS NOT NULL;
-- Finds the tokens of a membership that ends.
CREATE INDEX service_keys_member_id_idx ON service_keys (member_id) WHERE member_id IS NOT NULL;
