-- Purpose: tickets with their comments, activities and exact counts, and the memory of imported rows.
-- Lock: SHARE ROW EXCLUSIVE on accounts and users for a moment, because tickets refers to them. All tables
-- are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.support.v1. kind: 1 incident, 2 request, 3 problem, 4 change.
-- status: 1 open, 2 in progress, 3 resolved. priority: 1 low, 2 medium, 3 high, 4 urgent.
CREATE TABLE tickets (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    requester_id uuid REFERENCES users (id),
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 200),
    body text NOT NULL CHECK (char_length(body) BETWEEN 1 AND 20000),
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
    queue text NOT NULL CHECK (char_length(queue) BETWEEN 1 AND 60),
    language text NOT NULL CHECK (char_length(language) BETWEEN 2 AND 35),
    tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 20),
    -- Files; the rows of file_links, which change with these, let whoever reaches the ticket reach them.
    attachment_ids uuid[] NOT NULL DEFAULT '{}' CHECK (cardinality(attachment_ids) <= 10),
    assignee_id uuid REFERENCES users (id),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    resolved_at timestamptz,
    -- Stored, because a search with many matches checks rows in the list's order and would parse the text of each.
    -- 'simple', because the texts are in several languages, and the stemmer of the wrong one finds the wrong words.
    words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', subject || ' ' || body)) STORED,
    -- An open ticket has no assignee, one in progress has one, and exactly the resolved ones have a time of resolution.
    CONSTRAINT tickets_state_check CHECK (
        (status <> 1 OR assignee_id IS NULL)
        AND (status <> 2 OR assignee_id IS NOT NULL)
        AND ((status = 3) = (resolved_at IS NOT NULL))
    )
);

-- One index per order of the list: alone, below the account (a customer sees only that), and below the assignee (an
-- agent's own work). The indexes by status are for a status that few tickets have: those are collected and sorted.
CREATE INDEX tickets_created_at_idx ON tickets (created_at DESC, id DESC);
CREATE INDEX tickets_updated_at_idx ON tickets (updated_at DESC, id DESC);
CREATE INDEX tickets_priority_idx ON tickets (priority DESC, created_at DESC, id DESC);
CREATE INDEX tickets_status_idx ON tickets (status, created_at DESC, id DESC);
CREATE INDEX tickets_account_created_at_idx ON tickets (account_id, created_at DESC, id DESC);
CREATE INDEX tickets_account_updated_at_idx ON tickets (account_id, updated_at DESC, id DESC);
CREATE INDEX tickets_account_priority_idx ON tickets (account_id, priority DESC, created_at DESC, id DESC);
CREATE INDEX tickets_account_status_idx ON tickets (account_id, status, created_at DESC, id DESC);
CREATE INDEX tickets_assignee_created_at_idx ON tickets (assignee_id, created_at DESC, id DESC) WHERE assignee_id IS NOT NULL;
CREATE INDEX tickets_assignee_updated_at_idx ON tickets (assignee_id, updated_at DESC, id DESC) WHERE assignee_id IS NOT NULL;
CREATE INDEX tickets_assignee_priority_idx ON tickets (assignee_id, priority DESC, created_at DESC, id DESC) WHERE assignee_id IS NOT NULL;
-- Counts the unresolved tickets of one customer; there are at most a handful.
CREATE INDEX tickets_open_by_requester_idx ON tickets (requester_id) WHERE status <> 3;
CREATE INDEX tickets_words_idx ON tickets USING gin (words);
-- The other filters: what an agent of one queue sees, and rare tags.
CREATE INDEX tickets_queue_idx ON tickets (queue, created_at DESC, id DESC);
CREATE INDEX tickets_tags_idx ON tickets USING gin (tags);

CREATE TABLE comments (
    id uuid PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    -- A user or a service key.
    author_id uuid,
    -- The numbers of mainstay.policy.v1.Role; 0: none.
    author_role smallint NOT NULL CHECK (author_role BETWEEN 0 AND 4),
    body text NOT NULL CHECK (char_length(body) BETWEEN 1 AND 20000),
    -- As those of tickets.
    attachment_ids uuid[] NOT NULL DEFAULT '{}' CHECK (cardinality(attachment_ids) <= 10),
    created_at timestamptz NOT NULL,
    edited_at timestamptz
);
CREATE INDEX comments_ticket_idx ON comments (ticket_id, created_at, id);

-- The audit trail of tickets, by months. It has no reference to tickets, because it outlives them. kind: the numbers of
-- mainstay.support.v1.ActivityKind.
CREATE TABLE activities (
    id uuid PRIMARY KEY,
    ticket_id uuid NOT NULL,
    actor_id uuid,
    actor_role smallint NOT NULL CHECK (actor_role BETWEEN 0 AND 4),
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 11),
    detail text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE activities_rest PARTITION OF activities DEFAULT;
CREATE INDEX activities_ticket_idx ON activities (ticket_id, created_at, id);
-- Per statement, so it guards the table and not its partitions, from which the kernel moves rows to those of their months.
CREATE TRIGGER activities_append_only BEFORE UPDATE OR DELETE ON activities
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Exact totals without counting tickets. A row counts the tickets of one scope (all of them, an account's, an
-- assignee's, or an account's with one assignee) by status and priority. Each Postgres backend writes its own rows, so
-- concurrent transactions never wait for each other. Readers sum the rows, and fold_ticket_counts() merges them.
CREATE TABLE ticket_counts (
    -- The zero id stands for "any", in both.
    account_id uuid NOT NULL,
    assignee_id uuid NOT NULL,
    status smallint NOT NULL,
    priority smallint NOT NULL,
    -- The process id of the backend; 0: merged rows.
    writer integer NOT NULL,
    tickets bigint NOT NULL,
    PRIMARY KEY (account_id, assignee_id, status, priority, writer)
-- Rows are updated all the time: with free space on their page, updates leave the index alone.
) WITH (fillfactor = 50);

-- Postgres' own sum(bigint) returns numeric, but a number of rows fits into a bigint.
CREATE AGGREGATE sum_of_counts (bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0', PARALLEL = SAFE, COMBINEFUNC = int8pl);

-- One statement writes each scope once, in the order of the primary key. It stands in each function, because PL/pgSQL keeps
-- the plans of its own statements, and not those of the SQL functions that they call: those took half the time of an insert.
CREATE FUNCTION count_inserted_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_counts AS counts
    SELECT scope.account_id, scope.assignee_id, changed.status, changed.priority, pg_backend_pid(), sum(changed.tickets)
    FROM (SELECT account_id, assignee_id, status, priority, 1 AS tickets FROM new_rows) AS changed
    CROSS JOIN LATERAL (
        VALUES
            ('00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid),
            (changed.account_id, '00000000-0000-0000-0000-000000000000'),
            ('00000000-0000-0000-0000-000000000000', changed.assignee_id),
            (changed.account_id, changed.assignee_id)
    ) AS scope (account_id, assignee_id)
    WHERE scope.assignee_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(changed.tickets) <> 0
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, assignee_id, status, priority, writer)
    DO UPDATE SET tickets = counts.tickets + excluded.tickets;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_count_inserted AFTER INSERT ON tickets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_tickets();

CREATE FUNCTION count_deleted_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_counts AS counts
    SELECT scope.account_id, scope.assignee_id, changed.status, changed.priority, pg_backend_pid(), sum(changed.tickets)
    FROM (SELECT account_id, assignee_id, status, priority, -1 AS tickets FROM old_rows) AS changed
    CROSS JOIN LATERAL (
        VALUES
            ('00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid),
            (changed.account_id, '00000000-0000-0000-0000-000000000000'),
            ('00000000-0000-0000-0000-000000000000', changed.assignee_id),
            (changed.account_id, changed.assignee_id)
    ) AS scope (account_id, assignee_id)
    WHERE scope.assignee_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(changed.tickets) <> 0
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, assignee_id, status, priority, writer)
    DO UPDATE SET tickets = counts.tickets + excluded.tickets;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_count_deleted AFTER DELETE ON tickets
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_tickets();

CREATE FUNCTION count_updated_tickets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ticket_counts AS counts
    SELECT scope.account_id, scope.assignee_id, changed.status, changed.priority, pg_backend_pid(), sum(changed.tickets)
    FROM (
        SELECT account_id, assignee_id, status, priority, 1 AS tickets FROM new_rows
        UNION ALL
        SELECT account_id, assignee_id, status, priority, -1 FROM old_rows
    ) AS changed
    CROSS JOIN LATERAL (
        VALUES
            ('00000000-0000-0000-0000-000000000000'::uuid, '00000000-0000-0000-0000-000000000000'::uuid),
            (changed.account_id, '00000000-0000-0000-0000-000000000000'),
            ('00000000-0000-0000-0000-000000000000', changed.assignee_id),
            (changed.account_id, changed.assignee_id)
    ) AS scope (account_id, assignee_id)
    WHERE scope.assignee_id IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(changed.tickets) <> 0
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, assignee_id, status, priority, writer)
    DO UPDATE SET tickets = counts.tickets + excluded.tickets;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_count_updated AFTER UPDATE ON tickets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_updated_tickets();

-- Merges the rows of the backends into those of writer 0, except rows that another transaction has locked. Returns the
-- number of merged rows. Of concurrent callers only one does anything.
CREATE FUNCTION fold_ticket_counts() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    folded bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('fold_ticket_counts')) THEN
        RETURN 0;
    END IF;
    WITH held AS (
        SELECT account_id, assignee_id, status, priority, writer FROM ticket_counts
        WHERE writer <> 0 FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM ticket_counts USING held
        WHERE (ticket_counts.account_id, ticket_counts.assignee_id, ticket_counts.status, ticket_counts.priority, ticket_counts.writer)
            = (held.account_id, held.assignee_id, held.status, held.priority, held.writer)
        RETURNING ticket_counts.*
    ), merged AS (
        INSERT INTO ticket_counts AS counts
        SELECT account_id, assignee_id, status, priority, 0, sum(tickets) FROM taken GROUP BY 1, 2, 3, 4
        ON CONFLICT (account_id, assignee_id, status, priority, writer)
        DO UPDATE SET tickets = counts.tickets + excluded.tickets
    )
    SELECT count(*) INTO folded FROM taken;
    RETURN folded;
END $$;

-- The rows that were imported before. A row is identified by its account, its content, and its occurrence in the file:
-- 2 is the second row with the same content. No reference to tickets: a deleted ticket is not imported again.
CREATE TABLE imported_rows (
    account_id uuid NOT NULL REFERENCES accounts (id),
    row_hash bytea NOT NULL CHECK (octet_length(row_hash) = 32),
    occurrence integer NOT NULL CHECK (occurrence > 0),
    ticket_id uuid NOT NULL,
    PRIMARY KEY (account_id, row_hash, occurrence)
);
