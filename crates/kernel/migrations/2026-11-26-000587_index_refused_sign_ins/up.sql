-- Purpose: the erasure of a person's values finds the refused sign-ins with the person's address.
-- Lock: SHARE on audit_entries while the index is built: writes wait for it. Refused sign-ins are few, so it takes as long as
-- the table is read once.
-- Rollout: before the first server of this version starts; the version before goes on after it.

CREATE INDEX audit_entries_refused_email_idx ON audit_entries ((personal #>> '{fields,email,after}')) WHERE outcome = 2;
