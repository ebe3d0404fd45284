-- Fills an empty, migrated database with the number of tickets in the setting mainstay.tickets, and their related rows,
-- in one transaction. The secondary indexes of tickets are built at the end, which is several times faster than updating
-- a GIN index row by row.
--
-- Nothing is random, so that every run reads and writes the same rows. One account owns a tenth of the tickets; the other
-- accounts share the rest. Some words are in the text of every ticket, some in one of eight, and one is unique to each.

SET LOCAL maintenance_work_mem = '512MB';
SET LOCAL work_mem = '256MB';

CREATE FUNCTION pg_temp.id_at(at timestamptz, seed text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(seed), 1, 3) || 'a' || substr(md5(seed), 4, 15))::uuid
$$;

INSERT INTO accounts (id, name, created_at)
SELECT pg_temp.id_at('2020-01-01Z', 'account' || n), 'Account ' || n, '2020-01-01Z' FROM generate_series(0, 999) AS n;

-- 40 agents, then customers. No password matches the hash.
INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
SELECT pg_temp.id_at('2020-01-01Z'::timestamptz + n * interval '1 minute', 'user' || n),
    'user' || n || '@example.com', 'User ' || n, CASE WHEN n < 40 THEN 2 ELSE 1 END, '!',
    '2020-01-01Z'::timestamptz + n * interval '1 minute', '2020-01-01Z'::timestamptz + n * interval '1 minute'
FROM generate_series(0, 19999) AS n;

INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
SELECT pg_temp.id_at('2020-01-01Z'::timestamptz + n * interval '1 minute', 'member' || n),
    pg_temp.id_at('2020-01-01Z', 'account' || n % 1000),
    pg_temp.id_at('2020-01-01Z'::timestamptz + n * interval '1 minute', 'user' || n), 1,
    '2020-01-01Z'::timestamptz + n * interval '1 minute', '2020-01-01Z'::timestamptz + n * interval '1 minute'
FROM generate_series(0, 19999) AS n;

CREATE TEMPORARY TABLE rebuilt ON COMMIT DROP AS
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename = 'tickets' AND indexname <> 'tickets_pkey';

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT indexname FROM rebuilt LOOP
        EXECUTE format('DROP INDEX %I', name);
    END LOOP;
END $$;

-- The texts of each kind of ticket, in which 0 stands for the number of the ticket, and their words. The trigger that makes
-- the words of a ticket takes longer than all else about its row.
CREATE TEMPORARY TABLE texts ON COMMIT DROP AS
SELECT kind, subject, body, search_words(subject || ' ' || body)::text AS words
FROM (
    SELECT kind,
        'Trouble with ' || (ARRAY['billing', 'sign-in', 'printing', 'export', 'delivery', 'network', 'storage', 'upgrade'])[1 + kind]
            AS subject,
        'Dear support team, since the last update our account can no longer be used as it should be. We have tried to '
            || 'restart everything and to follow your documentation, without success. It concerns '
            || (ARRAY['invoices', 'passwords', 'drivers', 'reports', 'parcels', 'routers', 'volumes', 'releases'])[1 + kind]
            || '. Please look into case number0 and tell us what to do next. Kind regards from all of us.' AS body
    FROM generate_series(0, 7) AS kind
) AS kinds;
ALTER TABLE tickets DISABLE TRIGGER tickets_words;

WITH chosen AS (
    SELECT n,
        now() - (current_setting('mainstay.tickets')::bigint - n) * interval '31 seconds' AS at,
        CASE WHEN n % 10 = 0 THEN 0 ELSE 1 + hashint8(n) & 511 END AS account,
        CASE WHEN n % 5 < 3 THEN 3 WHEN n % 5 = 3 THEN 2 ELSE 1 END AS status,
        1 + (n / 7) % 4 AS priority,
        n % 40 AS agent
    FROM generate_series(1, current_setting('mainstay.tickets')::bigint) AS n
)
INSERT INTO tickets (id, account_id, requester_id, subject, body, words, kind, status, priority, queue, language, tags,
    assignee_id, version, created_at, updated_at, resolved_at)
SELECT pg_temp.id_at(at, 'ticket' || n),
    pg_temp.id_at('2020-01-01Z', 'account' || account),
    NULL,
    subject, replace(body, 'number0', 'number' || n), replace(words, 'number0', 'number' || n)::tsvector,
    1 + n % 4, status, priority, 'Technical Support', 'en', ARRAY['Bug', 'Tech Support', 'Outage'],
    CASE WHEN status <> 1 THEN pg_temp.id_at('2020-01-01Z'::timestamptz + agent * interval '1 minute', 'user' || agent) END,
    1, at, at + (n % 1000) * interval '97 seconds', CASE WHEN status = 3 THEN at + interval '1 day' END
FROM chosen JOIN texts ON texts.kind = n % 8 ORDER BY n;

ALTER TABLE tickets ENABLE TRIGGER tickets_words;
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT subject, body, words FROM tickets LIMIT 100) AS seeded
        WHERE words <> search_words(subject || ' ' || body)
    ) THEN
        RAISE 'the words of a ticket are not those of its text';
    END IF;
END $$;

DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT indexdef FROM rebuilt LOOP
        EXECUTE definition;
    END LOOP;
END $$;

-- One ticket in ten has a comment; one in a thousand has 30 of them.
INSERT INTO comments (id, ticket_id, author_id, author_role, body, created_at)
SELECT pg_temp.id_at(ticket.created_at + k * interval '1 minute', 'comment' || k || ticket.id), ticket.id, NULL, 2,
    'We are looking into it.', ticket.created_at + k * interval '1 minute'
FROM (SELECT id, created_at, row_number() OVER (ORDER BY created_at) AS n FROM tickets) AS ticket
CROSS JOIN LATERAL generate_series(1, CASE WHEN n % 1000 = 0 THEN 30 WHEN n % 10 = 0 THEN 1 ELSE 0 END) AS k;

SELECT count(add_partition('activities', month))
FROM generate_series(
    date_trunc('month', now() - current_setting('mainstay.tickets')::bigint * interval '31 seconds'), now(), interval '1 month'
) AS month;
INSERT INTO activities (id, ticket_id, actor_id, actor_role, kind, created_at)
SELECT pg_temp.id_at(created_at, 'activity' || id), id, NULL, 2, 10, created_at FROM tickets;
