DROP TABLE login_limits, password_resets, signing_keys, service_keys, users, accounts;
