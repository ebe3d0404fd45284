-- Purpose: identity providers provision the members of an account by SCIM: what a provider knows of a person, and its groups.
-- Lock: SHARE ROW EXCLUSIVE on accounts, users and roles for a moment, because the new tables refer to them.
-- Rollout: before the first server of this version starts. The version before does not use the tables.

-- A person whom a provider has provisioned, or changed. The person is active while there is a membership.
CREATE TABLE scim_users (
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    external_id text CHECK (char_length(external_id) BETWEEN 1 AND 200),
    -- The role that a suspended membership had, as in members; both null for the role of the mail domain.
    role smallint CHECK (role BETWEEN 2 AND 5),
    custom_role_id uuid REFERENCES roles (id) ON DELETE SET NULL,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, user_id),
    CONSTRAINT scim_users_one_role_check CHECK (role IS NULL OR custom_role_id IS NULL)
);
CREATE INDEX scim_users_user_id_idx ON scim_users (user_id);
CREATE INDEX scim_users_custom_role_id_idx ON scim_users (custom_role_id) WHERE custom_role_id IS NOT NULL;

-- A group of a provider. It gives its members the role of the account that has its name.
CREATE TABLE scim_groups (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    external_id text CHECK (char_length(external_id) BETWEEN 1 AND 200),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX scim_groups_name_key ON scim_groups (account_id, lower(name));

CREATE TABLE scim_group_members (
    account_id uuid NOT NULL,
    group_id uuid NOT NULL REFERENCES scim_groups (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    PRIMARY KEY (group_id, user_id),
    -- A person who is no longer provisioned is in no group.
    CONSTRAINT scim_group_members_user_fkey
        FOREIGN KEY (account_id, user_id) REFERENCES scim_users (account_id, user_id) ON DELETE CASCADE
);
CREATE INDEX scim_group_members_user_idx ON scim_group_members (account_id, user_id);

-- Callers of an account reach its rows only.
SELECT isolate_rows('scim_users');
SELECT isolate_rows('scim_groups');
SELECT isolate_rows('scim_group_members');
