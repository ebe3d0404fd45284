-- Purpose: people with addresses of a mail domain, which an account has proved by DNS, join the account. Users have the time of
-- the last confirmation of the address.
-- Lock: ACCESS EXCLUSIVE on users for a moment, because it is not rewritten; SHARE ROW EXCLUSIVE on accounts and users, because
-- the new tables refer to them.
-- Rollout: before the first server of this version starts. The users of the version before count as unconfirmed until the next
-- password reset, or the next change of the address.

-- When mail to the address last reached the user, or a provider had verified it; null if that is not known.
ALTER TABLE users ADD COLUMN email_confirmed_at timestamptz;

CREATE TABLE account_domains (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- In ASCII without capitals, as in the addresses of users.
    domain text NOT NULL CHECK (char_length(domain) BETWEEN 3 AND 253 AND domain COLLATE "C" ~ '^[-.0-9a-z]+$'),
    -- As in members: 3 member, 5 viewer.
    role smallint NOT NULL CHECK (role IN (3, 5)),
    -- The text that the TXT record has.
    token text NOT NULL CHECK (char_length(token) = 32),
    -- 1 pending, 2 verified, 3 lapsed.
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    -- The look-ups in a row that have not found the record.
    failures smallint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- When the record was last found.
    verified_at timestamptz,
    -- When a verified domain is looked up next.
    due_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT account_domains_due_check CHECK ((state = 2) = (due_at IS NOT NULL)),
    CONSTRAINT account_domains_account_id_domain_key UNIQUE (account_id, domain)
);
-- A verified domain belongs to one account.
CREATE UNIQUE INDEX account_domains_verified_key ON account_domains (domain) WHERE state = 2;
-- Finds the domains that are to be looked up.
CREATE INDEX account_domains_due_at_idx ON account_domains (due_at) WHERE due_at IS NOT NULL;
-- One index per way to list domains.
CREATE INDEX account_domains_created_at_idx ON account_domains (created_at DESC, id DESC);
CREATE INDEX account_domains_account_id_idx ON account_domains (account_id, created_at DESC, id DESC);

-- The people who were removed from an account, and do not join it again by a mail domain.
CREATE TABLE domain_exclusions (
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the id of the account and the address at the time, so that another user with the address is excluded, too.
    address_hash bytea NOT NULL CHECK (octet_length(address_hash) = 32),
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX domain_exclusions_user_id_idx ON domain_exclusions (user_id);
CREATE INDEX domain_exclusions_address_hash_idx ON domain_exclusions (account_id, address_hash);

-- Callers of an account reach its rows only.
SELECT isolate_rows('account_domains');
SELECT isolate_rows('domain_exclusions');
