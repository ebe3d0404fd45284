DROP TABLE password_resets, signing_keys, service_keys, users, accounts;
