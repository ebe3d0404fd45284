DROP TABLE oauth_devices;
DELETE FROM oauth_clients WHERE 4 = ANY (grant_types);
ALTER TABLE oauth_clients
    DROP CONSTRAINT oauth_clients_grant_types_check,
    ADD CONSTRAINT oauth_clients_grant_types_check CHECK (
        grant_types <@ ARRAY[1, 2, 3]::smallint[] AND cardinality(grant_types) > 0
    );
