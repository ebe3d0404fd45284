-- Purpose: the erasure of a person's values finds the entries with the person's address: refused sign-ins, invitations and
-- memberships, whose resource and actor are not the person.
-- Lock: SHARE on audit_entries while the index is built: writes wait for it. Such entries are few, so it takes as long as the
-- table is read once.
-- Rollout: before the first server of this version starts; the version before goes on after it.

CREATE INDEX audit_entries_email_idx ON audit_entries ((personal #>> '{fields,email,after}'))
    WHERE personal #>> '{fields,email,after}' IS NOT NULL;
