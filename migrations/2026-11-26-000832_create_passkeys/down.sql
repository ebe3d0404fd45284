DROP TABLE passkeys;
UPDATE users SET second_factor_at = NULL WHERE id IN (SELECT user_id FROM second_factors WHERE secret = '');
DELETE FROM second_factors WHERE secret = '';
DELETE FROM sessions WHERE method = 3;
ALTER TABLE sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN (1, 2));
