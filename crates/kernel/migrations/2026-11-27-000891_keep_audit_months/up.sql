-- Purpose: a statement under the login of the server detaches no month of the audit log that ended within the last 30 days.
-- Lock: none that matters; a function is replaced.
-- Rollout: at any time; the version before removes months later than that, too.

CREATE OR REPLACE FUNCTION detach_month(parent regclass, old regclass) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    -- The statements below run triggers and checks of the table with the privileges of the owner.
    PERFORM check_owner(parent);
    IF NOT EXISTS (SELECT FROM partitions_of(parent) WHERE partition = old AND end_id <= uuid_floor(now())) THEN
        RAISE EXCEPTION '% has no ended month %', parent, old USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- The least value of AUDIT_LOG_KEPT: the login of the server removes no month that no configuration removes.
    IF parent IN ('audit_entries'::regclass, 'audit_links'::regclass) AND NOT EXISTS (
        SELECT FROM partitions_of(parent) WHERE partition = old AND end_id <= uuid_floor(now() - interval '30 days')
    ) THEN
        RAISE EXCEPTION '% ended less than 30 days ago', old USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Not CONCURRENTLY, which a table with a DEFAULT partition does not allow.
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, old);
    EXECUTE format('COMMENT ON TABLE %s IS %L', old, detached_mark(parent));
END $$;
