DROP INDEX audit_entries_email_idx;
