CREATE OR REPLACE FUNCTION detach_month(parent regclass, old regclass) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
    -- The statements below run triggers and checks of the table with the privileges of the owner.
    PERFORM check_owner(parent);
    IF NOT EXISTS (SELECT FROM partitions_of(parent) WHERE partition = old AND end_id <= uuid_floor(now())) THEN
        RAISE EXCEPTION '% has no ended month %', parent, old USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Not CONCURRENTLY, which a table with a DEFAULT partition does not allow.
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, old);
    EXECUTE format('COMMENT ON TABLE %s IS %L', old, detached_mark(parent));
END $$;
