-- Purpose: counts the imported users who have not signed in yet, by the kinds of their password hashes.
-- Lock: SHARE on users while the index is built, which reads the table once.
-- Rollout: before the first server of this version starts. The version before cannot verify imported hashes: import users once
-- its last server is replaced.
CREATE INDEX users_other_hash_idx ON users (id) WHERE password_hash NOT LIKE '$argon2id$v=19$m=7168,t=5,p=1$%';
