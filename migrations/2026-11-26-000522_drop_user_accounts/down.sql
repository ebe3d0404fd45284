-- A user gets the account of the oldest membership, and a user without one a new account with the user's name and id.
INSERT INTO accounts (id, name, created_at)
SELECT id, name, created_at FROM users WHERE NOT EXISTS (SELECT FROM members WHERE members.user_id = users.id);
ALTER TABLE users ADD COLUMN account_id uuid REFERENCES accounts (id);
UPDATE users SET account_id = coalesce(
    (SELECT members.account_id FROM members WHERE members.user_id = users.id ORDER BY created_at, id LIMIT 1), users.id);
ALTER TABLE users ALTER COLUMN account_id SET NOT NULL;
CREATE INDEX users_account_id_idx ON users (account_id, created_at DESC, id DESC);
COMMENT ON COLUMN users.account_id IS 'to be contracted: a user belongs to accounts by members';
