DROP TABLE domain_exclusions;
DROP TABLE account_domains;
ALTER TABLE users DROP COLUMN email_confirmed_at;
