COMMENT ON VIEW own_tickets IS NULL;
COMMENT ON TABLE file_links IS NULL;
COMMENT ON TABLE file_usage IS NULL;
COMMENT ON TABLE files IS NULL;
COMMENT ON TABLE mails IS NULL;
COMMENT ON TABLE products IS NULL;
COMMENT ON TABLE revocations IS NULL;
COMMENT ON TABLE stored_objects IS NULL;
COMMENT ON TABLE users IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    canned_answers, earlier_post_slugs, email_changes, file_links, file_usage, files, inbound_events, ledger_entries,
    ledger_sums, ledger_transactions, ledger_unsummed, linked_identities, mail_logins, mail_suppressions, mails,
    oauth_codes, oauth_consents, oauth_devices, passkeys, password_resets, products, registrations, remembered_devices,
    revocations, sandbox_movements, sandbox_subscriptions, second_factors, sign_ins, signing_keys, stored_objects,
    system_log_ring, users
TO mainstay_account;
