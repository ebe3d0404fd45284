DROP TABLE mail_logins;
DELETE FROM sessions WHERE method = 4;
ALTER TABLE sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN (1, 2, 3));
