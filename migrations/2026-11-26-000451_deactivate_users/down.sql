-- Without the columns, deactivated users could sign in: they get a hash that no password matches.
UPDATE users SET password_hash = '$argon2id$v=19$m=7168,t=5,p=1$N2ViOTQ2YzE3ZGYwNTFhYg$k1x0rM3TzJv3eQm7cX3o1s5sZs1o9lW9bBq8m4aX2yE'
WHERE deactivated_at IS NOT NULL;
ALTER TABLE users DROP COLUMN deactivated_at, DROP COLUMN deactivation_reason;
