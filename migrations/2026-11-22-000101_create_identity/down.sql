DROP TABLE password_resets, revocations, signing_keys, service_keys, users, accounts;
