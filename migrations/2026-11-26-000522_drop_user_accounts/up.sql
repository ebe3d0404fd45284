-- Purpose: a user belongs to accounts by members alone.
-- Lock: ACCESS EXCLUSIVE on users for a moment, because it is not rewritten; users without a membership are looked up before.
-- Rollout: once all servers and workers of the version before have stopped, because they read and write the column. The
-- version before can't be started again.

-- Users whom the version before has created since the members.
INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
SELECT overlay(overlay(replace(gen_random_uuid()::text, '-', '')
        placing lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint), 12, '0') from 1 for 12)
        placing '7' from 13 for 1)::uuid,
    account_id, id, 1, created_at, created_at
FROM users WHERE NOT EXISTS (SELECT FROM members WHERE members.user_id = users.id)
ON CONFLICT ON CONSTRAINT members_account_id_user_id_key DO NOTHING;

-- With its index.
ALTER TABLE users DROP COLUMN account_id;
