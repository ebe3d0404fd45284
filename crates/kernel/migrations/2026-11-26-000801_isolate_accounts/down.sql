CREATE OR REPLACE FUNCTION drop_detached(parent regclass) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    old regclass;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions', parent::oid::bigint));
    SELECT objoid INTO old FROM pg_description JOIN pg_class ON pg_class.oid = objoid
    WHERE classoid = 'pg_class'::regclass AND objsubid = 0 AND NOT relispartition AND relkind = 'r'
        AND description = detached_mark(parent)
    LIMIT 1;
    IF old IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %s', old);
    RETURN true;
END $$;
GRANT EXECUTE ON FUNCTION add_partition(regclass, timestamptz, bigint), drop_detached(regclass) TO PUBLIC;

CREATE OR REPLACE FUNCTION detach_partition(parent regclass, at timestamptz, kept interval, unfinished text) RETURNS boolean
    LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    before timestamptz := least(at, now()) - kept;
    old regclass;
    stays boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions', parent::oid::bigint));
    FOR old IN SELECT partition FROM partitions_of(parent) WHERE end_id <= uuid_floor(before) ORDER BY end_id LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s)', old, unfinished) INTO stays;
        CONTINUE WHEN stays;
        -- Not CONCURRENTLY, which a table with a DEFAULT partition does not allow.
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, old);
        -- Nobody else has it now.
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s)', old, unfinished) INTO stays;
        IF stays THEN
            RAISE EXCEPTION '% has changed', old USING ERRCODE = 'lock_not_available';
        END IF;
        EXECUTE format('COMMENT ON TABLE %s IS %L', old, detached_mark(parent));
        RETURN true;
    END LOOP;
    RETURN false;
END $$;

DROP FUNCTION detach_month (regclass, regclass);

CREATE OR REPLACE FUNCTION add_partition(parent regclass, at timestamptz, max_moved bigint DEFAULT 100000) RETURNS boolean
    LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    month timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    first uuid := uuid_floor(month AT TIME ZONE 'UTC');
    past uuid := uuid_floor((month + interval '1 month') AT TIME ZONE 'UTC');
    place text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = parent);
    table_name text := (SELECT relname FROM pg_class WHERE oid = parent);
    -- At most 63 bytes, with the longest suffix of an index.
    new_name text := left(table_name, 40) || to_char(month, '_YYYYMM');
    key text := (
        SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
        WHERE partrelid = parent
    );
    rest regclass;
    strays bigint;
    child record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions', parent::oid::bigint));
    IF EXISTS (
        SELECT FROM partitions_of(parent)
        WHERE NOT is_default AND coalesce(first_id <= first, true) AND coalesce(end_id >= past, true)
    ) THEN
        RETURN false;
    END IF;
    SELECT partition INTO rest FROM partitions_of(parent) WHERE is_default;
    -- First, because the new partition is about to be attached under this lock in any case.
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', rest);
    EXECUTE format('SELECT count(*) FROM (SELECT FROM ONLY %s WHERE %I >= $1 AND %2$I < $2 LIMIT $3) AS stray', rest, key)
        INTO strays USING first, past, max_moved + 1;
    IF strays > max_moved THEN
        RAISE EXCEPTION 'more than % rows of % are in %: too many to move while others wait', max_moved, to_char(month, 'YYYY-MM'), rest
            USING ERRCODE = 'program_limit_exceeded', HINT = 'docs/runbook.md: MainstayPartitionStrays';
    END IF;
    -- Created alone and then attached: that locks the table against neither readers nor writers, as PARTITION OF would.
    EXECUTE format('CREATE TABLE %s.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
        place, new_name, parent);
    EXECUTE format('WITH stray AS (DELETE FROM ONLY %s WHERE %I >= $1 AND %2$I < $2 RETURNING *)
        INSERT INTO %s.%I SELECT * FROM stray', rest, key, place, new_name) USING first, past;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)', parent, place, new_name, first, past);
    -- As those of the table are named, so that a plan tells which one it reads.
    FOR child IN
        SELECT own.oid::regclass AS index, replace(above.relname, table_name, new_name) AS name
        FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid
        JOIN pg_class AS own ON own.oid = inhrelid JOIN pg_class AS above ON above.oid = inhparent
        WHERE indrelid = format('%s.%I', place, new_name)::regclass
            -- That of the primary key is named alike already.
            AND own.relname <> replace(above.relname, table_name, new_name)
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', child.index, child.name);
    END LOOP;
    RETURN true;
END $$;

SELECT share_rows('audit_entries');
SELECT share_rows('changes');
DROP FUNCTION share_rows (regclass);
DROP FUNCTION isolate_rows (regclass, text, text);
DROP FUNCTION bound_account ();
DROP FUNCTION check_owner (regclass);
DROP FUNCTION open_later_tables ();

ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM mainstay_server, mainstay_reader, mainstay_account;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM mainstay_server, mainstay_reader, mainstay_account;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SEQUENCES FROM mainstay_server, mainstay_account;
-- The roles and their privileges remain: other databases of the cluster may use the roles.
