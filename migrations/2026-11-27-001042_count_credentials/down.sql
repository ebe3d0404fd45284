ALTER TABLE oauth_clients DROP COLUMN credentials_epoch;
