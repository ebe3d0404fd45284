DROP TABLE linked_identities;
ALTER TABLE users DROP COLUMN has_password;
