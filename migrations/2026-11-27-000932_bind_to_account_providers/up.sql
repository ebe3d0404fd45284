-- Purpose: a session, and an identity of a user, may belong to the provider of an account.
-- Lock: ACCESS EXCLUSIVE on sessions for a moment, because it is not rewritten; its index takes SHARE while the rows are read:
-- sign-ins and refreshes wait, reads do not. ACCESS EXCLUSIVE on linked_identities while the unique index is built: sign-ins with
-- providers wait.
-- Rollout: before the first server of this version starts. The version before knows no such sessions and identities: accounts
-- create their providers once it is replaced.

ALTER TABLE sessions
    -- The provider of an account by which the session began: it opens this account alone, and ends with the provider.
    ADD COLUMN provider_id uuid,
    ADD CONSTRAINT sessions_provider_id_fkey FOREIGN KEY (provider_id) REFERENCES account_providers (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sessions VALIDATE CONSTRAINT sessions_provider_id_fkey;
-- Finds the sessions that end with a provider.
CREATE INDEX sessions_provider_id_idx ON sessions (provider_id) WHERE provider_id IS NOT NULL;

ALTER TABLE linked_identities
    -- The provider of an account, which names the person; null for one of the configuration. The same issuer and subject are
    -- another identity for each of them, because an account chooses who speaks for the issuer.
    ADD COLUMN provider_id uuid,
    ADD CONSTRAINT linked_identities_provider_id_fkey FOREIGN KEY (provider_id) REFERENCES account_providers (id) ON DELETE CASCADE NOT VALID,
    DROP CONSTRAINT linked_identities_issuer_subject_key,
    ADD CONSTRAINT linked_identities_issuer_subject_key UNIQUE NULLS NOT DISTINCT (issuer, subject, provider_id);
ALTER TABLE linked_identities VALIDATE CONSTRAINT linked_identities_provider_id_fkey;
-- Finds the identities that end with a provider.
CREATE INDEX linked_identities_provider_id_idx ON linked_identities (provider_id) WHERE provider_id IS NOT NULL;
