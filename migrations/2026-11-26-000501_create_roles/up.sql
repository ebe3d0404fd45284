-- Purpose: custom roles of accounts and of the staff, each a set of scopes.
-- Lock: ACCESS EXCLUSIVE on users for a moment, because it is not rewritten; the check of its rows takes SHARE UPDATE
-- EXCLUSIVE, and the index SHARE while the users are read: sign-ins and changes of users wait, reads do not.
-- Rollout: before the first server of this version starts. The version before grants an agent with a custom role what it
-- grants every agent: custom roles of the staff are assigned once it is replaced.
CREATE TABLE roles (
    id uuid PRIMARY KEY,
    -- The account whose members may have the role; null for a role of the staff.
    account_id uuid REFERENCES accounts (id),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    description text NOT NULL CHECK (char_length(description) <= 300),
    -- Qualified names, such as 'support.tickets.read'. Each module declares its own, so no check lists them.
    scopes text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 50),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX roles_name_key ON roles (account_id, lower(name)) NULLS NOT DISTINCT;

ALTER TABLE users
    -- The custom role that an agent has in place of the built-in one.
    ADD COLUMN staff_role_id uuid,
    ADD CONSTRAINT users_staff_role_id_fkey FOREIGN KEY (staff_role_id) REFERENCES roles (id) NOT VALID,
    ADD CONSTRAINT users_staff_role_check CHECK (staff_role_id IS NULL OR role = 2) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT users_staff_role_id_fkey;
ALTER TABLE users VALIDATE CONSTRAINT users_staff_role_check;
-- Finds the users of a role that is to be deleted.
CREATE INDEX users_staff_role_id_idx ON users (staff_role_id) WHERE staff_role_id IS NOT NULL;
