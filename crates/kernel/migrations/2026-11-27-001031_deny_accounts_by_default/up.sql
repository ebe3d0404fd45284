-- Purpose: a new table is closed to the role mainstay_account, until its migration isolates its rows or shares it for a reason.
-- Lock: SHARE UPDATE EXCLUSIVE on three tables for their comments, which locks out no statement of a server; privileges take none.
-- Rollout: before the first server of this version starts. No statement of the version before needs a privilege that is revoked
-- here. The tables of modules keep their privileges; a table that a later migration creates has none.

-- Default privileges belong to one owner: a restore under another one calls this again (docs/backup.md).
CREATE OR REPLACE FUNCTION open_later_tables() RETURNS void LANGUAGE sql AS $$
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO mainstay_server, mainstay_reader, mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mainstay_server;
    ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mainstay_reader;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO mainstay_server, mainstay_account;
$$;
SELECT open_later_tables();

-- Isolates the rows of a table by account. The role mainstay_account reaches the rows for which the condition readable holds,
-- and writes those for which writable holds, or else readable. The account is read in a sub-select, once per statement.
CREATE OR REPLACE FUNCTION isolate_rows(
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
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO mainstay_account', isolated);
    FOR part IN SELECT partition FROM partitions_of(isolated) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM mainstay_account', part);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM mainstay_server', part);
    END LOOP;
END $$;

-- Reverts isolate_rows, so that the table is closed to accounts.
CREATE OR REPLACE FUNCTION share_rows(shared regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    policy name;
BEGIN
    FOR policy IN SELECT polname FROM pg_policy WHERE polrelid = shared LOOP
        EXECUTE format('DROP POLICY %I ON %s', policy, shared);
    END LOOP;
    EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', shared);
    EXECUTE format('REVOKE ALL ON %s FROM mainstay_account', shared);
END $$;

-- Opens a table without policies to the role mainstay_account, for a reason, which becomes the comment of the table. The
-- conditions of the statements alone keep its rows apart. privileges is the list of a GRANT, and replaces earlier ones.
CREATE FUNCTION share_table(shared regclass, reason text, privileges text DEFAULT 'SELECT') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('REVOKE ALL ON %s FROM mainstay_account', shared);
    EXECUTE format('GRANT %s ON %s TO mainstay_account', privileges, shared);
    EXECUTE format('COMMENT ON TABLE %s IS %L', shared, 'open to accounts: ' || reason);
END $$;

REVOKE ALL ON attempt_limits, scheduled_tasks FROM mainstay_account;
SELECT share_table('effects', 'a unit of work begins and ends effects, whose requests are ids', 'SELECT, INSERT, UPDATE, DELETE');
SELECT share_table('idempotency_keys', 'of a caller, by the primary key', 'SELECT, INSERT, UPDATE');
SELECT share_table('jobs', 'a unit of work adds and removes jobs', 'SELECT, INSERT, UPDATE, DELETE');
