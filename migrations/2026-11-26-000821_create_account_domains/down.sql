DROP TABLE domain_exclusions;
DROP TABLE account_domains;
ALTER TABLE users DROP COLUMN has_confirmed_email;
