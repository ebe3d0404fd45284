SELECT share_rows('oauth_clients');
DELETE FROM oauth_clients WHERE 3 = ANY (grant_types);
ALTER TABLE oauth_clients
    DROP CONSTRAINT oauth_clients_account_check,
    DROP CONSTRAINT oauth_clients_credentials_check,
    DROP COLUMN account_id,
    DROP CONSTRAINT oauth_clients_grant_types_check,
    ADD CONSTRAINT oauth_clients_grant_types_check CHECK (
        grant_types <@ ARRAY[1, 2]::smallint[] AND cardinality(grant_types) > 0
    ),
    DROP CONSTRAINT oauth_clients_redirect_uris_check,
    ADD CONSTRAINT oauth_clients_redirect_uris_check CHECK (cardinality(redirect_uris) BETWEEN 1 AND 20);
