-- Purpose: Postgres itself separates accounts. What a caller of one account does runs as the role mainstay_account, which
-- reaches the rows of the account in the setting mainstay.account and no others: row-level security denies by default.
-- Lock: ACCESS EXCLUSIVE on audit_entries and changes for a moment.
-- Rollout: before the first server of this version starts, because it assumes the roles. Servers of the version before continue
-- as the owner of the tables, to whom no policy applies. Without the attribute CREATEROLE, a superuser creates the roles first
-- (docs/database-roles.md).

-- The roles belong to all databases of the cluster. None of them owns a table or may sign in.
DO $$
DECLARE
    needed text;
BEGIN
    FOREACH needed IN ARRAY ARRAY['mainstay_account', 'mainstay_reader', 'mainstay_server'] LOOP
        IF to_regrole(needed) IS NULL THEN
            IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
                RAISE EXCEPTION 'the role % does not exist, and % may not create it', needed, current_user
                    USING ERRCODE = 'insufficient_privilege', HINT = 'docs/database-roles.md: Existing deployments';
            END IF;
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', needed);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- The migration of another database was faster.
            END;
        END IF;
    END LOOP;
    -- A server that is a member of mainstay_server assumes the other two.
    FOREACH needed IN ARRAY ARRAY['mainstay_account', 'mainstay_reader'] LOOP
        IF NOT pg_has_role('mainstay_server', needed, 'MEMBER') THEN
            BEGIN
                EXECUTE format('GRANT %I TO mainstay_server', needed);
            EXCEPTION WHEN unique_violation OR internal_error THEN
                NULL; -- The same.
            END;
        END IF;
    END LOOP;
    -- Since Postgres 16, the creator of a role is a member that may not assume it.
    IF NOT pg_has_role(current_user, 'mainstay_server',
        CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)
    THEN
        BEGIN
            EXECUTE format('GRANT mainstay_server TO %I', current_user);
        EXCEPTION WHEN unique_violation OR internal_error THEN
            NULL; -- The same.
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% is no member of the role mainstay_server', current_user
                USING ERRCODE = 'insufficient_privilege', HINT = 'docs/database-roles.md: Existing deployments';
        END;
    END IF;
END $$;

-- Privileges on the present tables, and on later ones of the same owner. Partitions are written through their table only: the
-- triggers of an append-only table guard no statement on a partition.
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT pg_class.oid::regclass AS name, relnamespace::regnamespace AS place, relkind, relispartition
        FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'S') AND relname <> '__diesel_schema_migrations' AND pg_has_role(relowner, 'USAGE')
            AND (relnamespace = 'public'::regnamespace OR EXISTS (
                SELECT FROM pg_class AS versions
                WHERE versions.relnamespace = pg_class.relnamespace AND versions.relname = '__diesel_schema_migrations'))
    LOOP
        IF target.place <> 'public'::regnamespace THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO mainstay_server, mainstay_reader, mainstay_account', target.place);
        END IF;
        IF target.relkind = 'S' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO mainstay_server, mainstay_account', target.name);
            CONTINUE;
        END IF;
        EXECUTE format('GRANT SELECT%s ON %s TO mainstay_server',
            CASE WHEN target.relispartition THEN '' ELSE ', INSERT, UPDATE, DELETE' END, target.name);
        EXECUTE format('GRANT SELECT ON %s TO mainstay_reader', target.name);
        IF NOT target.relispartition THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO mainstay_account', target.name);
        END IF;
    END LOOP;
    IF to_regclass('public.__diesel_schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.__diesel_schema_migrations TO mainstay_server;
    END IF;
END $$;
-- Default privileges belong to one owner: a restore under another one calls this again (docs/backup.md).
CREATE FUNCTION open_later_tables() RETURNS void LANGUAGE sql AS $$
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO mainstay_server, mainstay_reader, mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mainstay_server, mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mainstay_reader;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO mainstay_server, mainstay_account;
$$;
SELECT open_later_tables();

-- The account of the transaction; null if it has none. After a transaction, its setting is empty.
CREATE FUNCTION bound_account() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('mainstay.account', true), '')::uuid
$$;

-- Isolates the rows of a table by account. The role mainstay_account reaches the rows for which the condition readable holds,
-- and writes those for which writable holds, or else readable. The account is read in a sub-select, once per statement.
CREATE FUNCTION isolate_rows(
    isolated regclass, readable text DEFAULT 'account_id = (SELECT bound_account())', writable text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part regclass;
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', isolated);
    EXECUTE format('CREATE POLICY of_server ON %s TO mainstay_server USING (true)', isolated);
    EXECUTE format('CREATE POLICY of_reader ON %s FOR SELECT TO mainstay_reader USING (true)', isolated);
    EXECUTE format('CREATE POLICY of_account ON %s TO mainstay_account USING (%s) WITH CHECK (%s)',
        isolated, readable, coalesce(writable, readable));
    FOR part IN SELECT partition FROM partitions_of(isolated) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM mainstay_account', part);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM mainstay_server', part);
    END LOOP;
END $$;

-- Reverts isolate_rows.
CREATE FUNCTION share_rows(shared regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    policy name;
BEGIN
    FOR policy IN SELECT polname FROM pg_policy WHERE polrelid = shared LOOP
        EXECUTE format('DROP POLICY %I ON %s', policy, shared);
    END LOOP;
    EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', shared);
END $$;

-- An act without an account, such as a sign-in, has an entry that no account sees.
SELECT isolate_rows('audit_entries', writable => 'account_id IS NULL OR account_id = (SELECT bound_account())');
SELECT isolate_rows('changes');

-- The log stays append-only, as for the owner of the tables.
REVOKE UPDATE, DELETE ON audit_entries, audit_links FROM mainstay_server, mainstay_account;
GRANT UPDATE (salt, personal) ON audit_entries TO mainstay_server;
REVOKE ALL ON audit_links, audit_chain FROM mainstay_account;

-- Fails for a table of another owner than that of the function that calls this one.
CREATE FUNCTION check_owner(owned regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = owned AND pg_get_userbyid(relowner) = current_user) THEN
        RAISE EXCEPTION '% is no table of %', owned, current_user USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- A server that does not own the tables maintains their partitions by these functions, and by no other statements of an owner.
-- The search path is fixed, so that no other object is found under the name of one of them.
CREATE OR REPLACE FUNCTION add_partition(parent regclass, at timestamptz, max_moved bigint DEFAULT 100000) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
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
    -- The statements below run triggers and checks of the table with the privileges of the owner.
    PERFORM check_owner(parent);
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
    EXECUTE format('REVOKE ALL ON %s.%I FROM mainstay_account', place, new_name);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s.%I FROM mainstay_server', place, new_name);
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

-- Detaches a partition that has ended, and marks it as one to be dropped.
CREATE FUNCTION detach_month(parent regclass, old regclass) RETURNS void
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

-- With the privileges of its caller, because the condition is a text that the caller chooses.
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
        PERFORM detach_month(parent, old);
        -- Nobody else has it now.
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %s)', old, unfinished) INTO stays;
        IF stays THEN
            RAISE EXCEPTION '% has changed', old USING ERRCODE = 'lock_not_available';
        END IF;
        RETURN true;
    END LOOP;
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION drop_detached(parent regclass) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    old regclass;
BEGIN
    PERFORM check_owner(parent);
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
REVOKE EXECUTE ON FUNCTION add_partition(regclass, timestamptz, bigint), detach_month(regclass, regclass),
    drop_detached(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_partition(regclass, timestamptz, bigint), detach_month(regclass, regclass),
    drop_detached(regclass) TO mainstay_server;
