DROP TABLE sign_ins, password_resets, registrations, revocations, signing_keys, service_keys, users, accounts;
