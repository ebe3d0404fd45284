GRANT EXECUTE ON FUNCTION rotate_system_logs(bigint, interval) TO PUBLIC;
ALTER FUNCTION rotate_system_logs(bigint, interval) SECURITY INVOKER RESET search_path;
DROP VIEW own_tickets;
-- The kernel isolates two tables itself.
SELECT share_rows(polrelid) FROM (
    SELECT DISTINCT polrelid::regclass FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
    WHERE polrelid NOT IN ('public.audit_entries'::regclass, 'public.changes'::regclass)
) AS isolated (polrelid);
