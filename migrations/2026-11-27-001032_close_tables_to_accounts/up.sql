-- Purpose: the role mainstay_account has the privileges on tables without policies that units of work and lists of an account
-- need, and no others.
-- Lock: SHARE UPDATE EXCLUSIVE on the shared tables for their comments, which locks out no statement of a server; privileges
-- take none.
-- Rollout: before the first server of this version starts. No statement of the version before needs a privilege that is revoked
-- here.

-- Tables of the platform, of the staff, of persons, and of jobs. Those of persons are read and written by sign-ins and by
-- methods that reach the caller, which run as the login of the connection.
REVOKE ALL ON
    canned_answers, earlier_post_slugs, email_changes, inbound_events, ledger_entries, ledger_sums, ledger_transactions,
    ledger_unsummed, linked_identities, mail_logins, mail_suppressions, oauth_codes, oauth_consents, oauth_devices, passkeys,
    password_resets, registrations, remembered_devices, sandbox_movements, sandbox_subscriptions, second_factors,
    sign_ins, signing_keys, system_log_ring
FROM mainstay_account;

SELECT share_table('file_links', 'whether a file is used, or hidden, depends on the references of all accounts',
    'SELECT, INSERT, DELETE');
SELECT share_table('file_usage', 'the removal of a reference may free the space of another account', 'SELECT, INSERT, UPDATE');
SELECT share_table('files', 'a file of one account is attached to the ticket of another, and the last reference removes it',
    'SELECT, INSERT, UPDATE, DELETE');
SELECT share_table('mails', 'a unit of work adds mails, which have no text and no address', 'SELECT, INSERT');
SELECT share_table('products', 'every account orders the products of the platform');
SELECT share_table('revocations', 'a unit of work ends sessions and tokens, which every process reads',
    'SELECT, INSERT, UPDATE');
SELECT share_table('stored_objects', 'names of objects, which the removal of the last reference releases',
    'SELECT, INSERT, UPDATE');
SELECT share_table('users', 'of a person, who is in several accounts', 'SELECT, INSERT, UPDATE');
COMMENT ON VIEW own_tickets IS 'open to accounts: the view has the condition of the account';
