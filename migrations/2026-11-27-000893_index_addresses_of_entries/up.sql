-- Purpose: the erasure of a person's values finds the entries that had the person's address before, such as of a revoked
-- invitation, and those of orders with it.
-- Lock: SHARE on audit_entries while the index is built: writes wait for it. Such entries are few, so it takes as long as the
-- table is read once.
-- Rollout: before the first server of this version starts; the version before goes on after it.

CREATE INDEX audit_entries_other_email_idx ON audit_entries
    (coalesce(personal #>> '{fields,email,before}', lower(personal #>> '{fields,confirmationEmail,after}')))
    WHERE coalesce(personal #>> '{fields,email,before}', lower(personal #>> '{fields,confirmationEmail,after}')) IS NOT NULL;
