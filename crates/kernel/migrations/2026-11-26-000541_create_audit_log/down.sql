DROP TABLE audit_chain, audit_links, audit_entries;
DROP FUNCTION refuse_audit_change();
