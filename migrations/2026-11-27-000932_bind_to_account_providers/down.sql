DELETE FROM linked_identities WHERE provider_id IS NOT NULL;
DELETE FROM sessions WHERE provider_id IS NOT NULL;
ALTER TABLE linked_identities
    DROP CONSTRAINT linked_identities_issuer_subject_key,
    DROP COLUMN provider_id,
    ADD CONSTRAINT linked_identities_issuer_subject_key UNIQUE (issuer, subject);
ALTER TABLE sessions DROP COLUMN provider_id;
