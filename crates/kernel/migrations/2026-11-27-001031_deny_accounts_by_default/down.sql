COMMENT ON TABLE effects IS NULL;
COMMENT ON TABLE idempotency_keys IS NULL;
COMMENT ON TABLE jobs IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON attempt_limits, scheduled_tasks, effects, idempotency_keys, jobs TO mainstay_account;

DROP FUNCTION share_table (regclass, text, text);

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
    FOR part IN SELECT partition FROM partitions_of(isolated) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM mainstay_account', part);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM mainstay_server', part);
    END LOOP;
END $$;

-- Reverts isolate_rows.
CREATE OR REPLACE FUNCTION share_rows(shared regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    policy name;
BEGIN
    FOR policy IN SELECT polname FROM pg_policy WHERE polrelid = shared LOOP
        EXECUTE format('DROP POLICY %I ON %s', policy, shared);
    END LOOP;
    EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', shared);
END $$;

-- Default privileges belong to one owner: a restore under another one calls this again (docs/backup.md).
CREATE OR REPLACE FUNCTION open_later_tables() RETURNS void LANGUAGE sql AS $$
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO mainstay_server, mainstay_reader, mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mainstay_server, mainstay_account;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mainstay_reader;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO mainstay_server, mainstay_account;
$$;
SELECT open_later_tables();
