DROP TABLE password_resets, registrations, revocations, signing_keys, service_keys, users, accounts;
