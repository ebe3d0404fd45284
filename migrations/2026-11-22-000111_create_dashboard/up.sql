-- Purpose: the log of the servers, in a ring of partitions.
-- Lock: none that matters; all tables are new.
-- Rollout: before the first server starts.

-- Lines fill one partition after the other; the next one is emptied before it is used again. So what is removed costs
-- nothing, and the ring never grows beyond its partitions.
CREATE TABLE system_logs (
    slot smallint NOT NULL,
    id uuid NOT NULL,
    logged_at timestamptz NOT NULL,
    -- 1 error, 2 warning, 3 information, 4 debugging, 5 tracing.
    level smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    message text NOT NULL,
    -- What the line is about, if it is about a request.
    method text,
    request_id text,
    principal_id text,
    -- The whole line, in JSON.
    line text NOT NULL,
    -- The transaction that stored it, and its number in that transaction, for those who watch the log: as in changes.
    writer bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    number bigint NOT NULL DEFAULT 0
) PARTITION BY LIST (slot);
CREATE TABLE system_logs_0 PARTITION OF system_logs FOR VALUES IN (0);
CREATE TABLE system_logs_1 PARTITION OF system_logs FOR VALUES IN (1);
CREATE TABLE system_logs_2 PARTITION OF system_logs FOR VALUES IN (2);
CREATE TABLE system_logs_3 PARTITION OF system_logs FOR VALUES IN (3);
CREATE TABLE system_logs_4 PARTITION OF system_logs FOR VALUES IN (4);
CREATE TABLE system_logs_5 PARTITION OF system_logs FOR VALUES IN (5);
CREATE TABLE system_logs_6 PARTITION OF system_logs FOR VALUES IN (6);
CREATE TABLE system_logs_7 PARTITION OF system_logs FOR VALUES IN (7);
-- The list; what is worth a look, among many lines that are not; what one request, and what one caller did.
CREATE INDEX system_logs_logged_at_idx ON system_logs (logged_at DESC, id DESC);
CREATE INDEX system_logs_warnings_idx ON system_logs (logged_at DESC, id DESC) WHERE level <= 2;
CREATE INDEX system_logs_request_idx ON system_logs (request_id, logged_at DESC, id DESC) WHERE request_id IS NOT NULL;
CREATE INDEX system_logs_principal_idx ON system_logs (principal_id, logged_at DESC, id DESC)
    WHERE principal_id IS NOT NULL;

-- What follows for those who watch.
CREATE INDEX system_logs_writer_idx ON system_logs (writer, number);

-- The partition that lines are written to, since when, and how many there are.
CREATE TABLE system_log_ring (
    id smallint PRIMARY KEY CHECK (id = 1),
    slot smallint NOT NULL CHECK (slot BETWEEN 0 AND 7),
    lines bigint NOT NULL,
    began_at timestamptz NOT NULL
) WITH (fillfactor = 20);
INSERT INTO system_log_ring VALUES (1, 0, 0, now());

-- Goes on to the next partition if the present one has enough lines or is old enough; returns whether it did. If somebody
-- reads the next one for long, or another server is going on, this one tries again later.
CREATE FUNCTION rotate_system_logs(max_lines bigint, max_age interval) RETURNS boolean LANGUAGE plpgsql
SET lock_timeout = '200ms' AS $$
DECLARE
    ring system_log_ring;
    next smallint;
BEGIN
    SELECT * INTO ring FROM system_log_ring FOR UPDATE SKIP LOCKED;
    IF NOT FOUND OR (ring.lines < max_lines AND ring.began_at > now() - max_age) THEN
        RETURN false;
    END IF;
    next := (ring.slot + 1) % 8;
    EXECUTE format('TRUNCATE system_logs_%s', next);
    UPDATE system_log_ring SET slot = next, lines = 0, began_at = now();
    RETURN true;
END $$;
