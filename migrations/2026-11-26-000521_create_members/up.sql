-- Purpose: a person is a member of any number of accounts, with a role in each. Each user becomes an owner of the account
-- that the user belongs to. Staff keep their accounts, too: the files of their internal notes and their posts belong to
-- them, and this migration can't know what the tables of a team's modules refer to. Accounts get a version.
-- Lock: ACCESS EXCLUSIVE on accounts and users for a moment, because neither is rewritten; SHARE ROW EXCLUSIVE on both
-- and on roles, because members refers to them; SHARE on accounts while its index is built: registrations wait.
-- Rollout: while no server runs, because the next migration drops what the version before reads. Users whom the version
-- before creates in between become members by the next migration.

ALTER TABLE accounts
    ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
UPDATE accounts SET updated_at = created_at;
-- One index per way to list accounts: all, and those whose names begin with a text.
CREATE INDEX accounts_created_at_idx ON accounts (created_at DESC, id DESC);
CREATE INDEX accounts_name_idx ON accounts (lower(name) text_pattern_ops);

CREATE TABLE members (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- role: 1 owner, 2 admin, 3 member, 4 billing, 5 viewer; null with a custom role.
    role smallint CHECK (role BETWEEN 1 AND 5),
    custom_role_id uuid REFERENCES roles (id),
    -- Access tokens name the version; tokens of an earlier one are refused.
    version bigint NOT NULL DEFAULT 1 CHECK (version BETWEEN 1 AND 2147483647),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT members_one_role_check CHECK ((role IS NULL) <> (custom_role_id IS NULL)),
    CONSTRAINT members_account_id_user_id_key UNIQUE (account_id, user_id)
);

-- The id is a UUIDv7 of the time at which the user was created.
INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
SELECT overlay(overlay(replace(gen_random_uuid()::text, '-', '')
        placing lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint), 12, '0') from 1 for 12)
        placing '7' from 13 for 1)::uuid,
    account_id, id, 1, created_at, created_at
FROM users;

-- One index per way to list members, and the memberships of a person.
CREATE INDEX members_created_at_idx ON members (created_at DESC, id DESC);
CREATE INDEX members_account_id_idx ON members (account_id, created_at DESC, id DESC);
CREATE INDEX members_user_id_idx ON members (user_id, created_at, id);
-- Finds the members with a custom role.
CREATE INDEX members_custom_role_id_idx ON members (custom_role_id) WHERE custom_role_id IS NOT NULL;

COMMENT ON COLUMN users.account_id IS 'to be contracted: a user belongs to accounts by members';
