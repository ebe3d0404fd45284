-- Purpose: clients of OAuth get tokens for themselves, for the platform or an account.
-- Lock: ACCESS EXCLUSIVE on oauth_clients, which is not rewritten, while its few rows are checked and indexed; SHARE ROW
-- EXCLUSIVE on accounts for a moment, because oauth_clients refers to it.
-- Rollout: before the first server of this version starts. The version before can't read a client with the new grant, and
-- refuses the client's tokens: register such clients after the last server of the version before is replaced.
ALTER TABLE oauth_clients
    -- The account whose data the client reaches with a token of its own; null for a client of the platform.
    ADD COLUMN account_id uuid REFERENCES accounts (id) ON DELETE CASCADE,
    DROP CONSTRAINT oauth_clients_grant_types_check,
    -- 1 authorization code, 2 refresh token, 3 client credentials.
    ADD CONSTRAINT oauth_clients_grant_types_check CHECK (
        grant_types <@ ARRAY[1, 2, 3]::smallint[] AND cardinality(grant_types) > 0
    ),
    DROP CONSTRAINT oauth_clients_redirect_uris_check,
    -- Only an authorization leads to an address.
    ADD CONSTRAINT oauth_clients_redirect_uris_check CHECK (
        cardinality(redirect_uris) <= 20 AND (1 = ANY (grant_types)) = (cardinality(redirect_uris) > 0)
    ),
    -- A client without a secret proves nothing about itself.
    ADD CONSTRAINT oauth_clients_credentials_check CHECK (NOT 3 = ANY (grant_types) OR secret_hash IS NOT NULL),
    -- The client of an account acts for nobody else.
    ADD CONSTRAINT oauth_clients_account_check CHECK (account_id IS NULL OR grant_types = ARRAY[3]::smallint[]);
CREATE INDEX oauth_clients_account_id_idx ON oauth_clients (account_id) WHERE account_id IS NOT NULL;

-- The clients of the platform are those of the staff and of persons, whose statements run as the login of the connection.
SELECT isolate_rows('oauth_clients');
