-- Purpose: a user may have a second factor, and an account may require it of its members. kind of mails: 21 second factor
-- added, 22 removed, 23 recovery code used, 24 reset requested.
-- Lock: ACCESS EXCLUSIVE on mails while all mails are read four times, for the checks and the indexes: new mails wait. Then ACCESS
-- EXCLUSIVE on users and accounts for a moment, because neither is rewritten, and second_factors refers to users.
-- Rollout: before the first server of this version starts. The version before neither asks for a second factor nor reads the
-- new mails: second factors protect once it is replaced.

-- First, because the checks and the indexes read all mails: no lock on users or accounts is held meanwhile.
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 24) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24)) = (parent_id IS NOT NULL)) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
-- The new kinds are urgent.
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24);

-- When the user added the second factor; null without one.
ALTER TABLE users ADD COLUMN second_factor_at timestamptz;
ALTER TABLE accounts ADD COLUMN requires_second_factor boolean NOT NULL DEFAULT false;

-- The authenticator app of a user. It counts while users.second_factor_at is set; before, it awaits its confirmation.
CREATE TABLE second_factors (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- The shared secret, sealed with SECRET_KEY.
    secret bytea NOT NULL CHECK (octet_length(secret) <= 200),
    -- The last step of 30 s whose code was accepted: no code is accepted twice.
    last_step bigint NOT NULL DEFAULT 0,
    -- SHA-256 of each recovery code that has not been used.
    recovery_codes bytea[] NOT NULL DEFAULT '{}' CHECK (cardinality(recovery_codes) <= 10),
    -- When an admin's reset removes the factor; null without one.
    reset_at timestamptz
);
-- Finds the resets that are due.
CREATE INDEX second_factors_reset_at_idx ON second_factors (reset_at) WHERE reset_at IS NOT NULL;
