-- Purpose: users sign in with a link or a code from a mail.
-- Lock: ACCESS EXCLUSIVE on sessions for a moment, because it is not rewritten; its check is validated under SHARE UPDATE
-- EXCLUSIVE. SHARE ROW EXCLUSIVE on users, because mail_logins refers to it.
-- Rollout: before the first server of this version starts. The version before cannot read sessions that begin with a mail: their
-- requests fail there. Set MAIL_SIGN_IN=false until its last server is replaced.

-- method: 4 mail.
ALTER TABLE sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN (1, 2, 3, 4)) NOT VALID;
ALTER TABLE sessions VALIDATE CONSTRAINT sessions_method_check;

-- The sign-ins by mail that wait, whether or not a user has the address. Each is of one browser.
CREATE TABLE mail_logins (
    id uuid PRIMARY KEY,
    -- As in users.
    email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email COLLATE "C" ~ '^[!-?[-~]+@[-.0-9a-z]+$'),
    -- SHA-256 of the secret that the browser keeps.
    binding_hash bytea NOT NULL UNIQUE CHECK (octet_length(binding_hash) = 32),
    -- The user to whom the mail was sent, the user's epoch at that time, and SHA-256 of the token in the link; null until then.
    -- The code is derived from the id, and stored nowhere.
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    session_epoch integer,
    token_hash bytea CHECK (octet_length(token_hash) = 32),
    wrong_codes smallint NOT NULL DEFAULT 0 CHECK (wrong_codes BETWEEN 0 AND 5),
    expires_at timestamptz NOT NULL,
    CONSTRAINT mail_logins_sent_check
        CHECK ((user_id IS NULL) = (session_epoch IS NULL) AND (user_id IS NULL) = (token_hash IS NULL))
);
CREATE INDEX mail_logins_user_id_idx ON mail_logins (user_id);
-- Finds those of an erased user.
CREATE INDEX mail_logins_email_idx ON mail_logins (email);
-- Finds the sign-ins that have expired and can be deleted.
CREATE INDEX mail_logins_expires_at_idx ON mail_logins (expires_at);
