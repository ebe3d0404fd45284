-- The charges of charge.sql in groups of 4 that share their commits, each behind a savepoint, in one round trip per commit: what a
-- group commit could reach. One client runs 4 charges at once.
--   psql -f benches/limits/tables.sql && pgbench -n -M prepared -c 4 -j 1 -T 3 -D run=0 -f benches/limits/group.sql
\set run :run + 4
\startpipeline
BEGIN;
SAVEPOINT member;
INSERT INTO least_payment (id, key, state, answer) VALUES ((:client_id::bigint << 40) | (:run::bigint + 0), sha256(((:run::bigint + 0)::text || ' ' || :client_id::text)::bytea), 1, '');
RELEASE member;
SAVEPOINT member;
INSERT INTO least_payment (id, key, state, answer) VALUES ((:client_id::bigint << 40) | (:run::bigint + 1), sha256(((:run::bigint + 1)::text || ' ' || :client_id::text)::bytea), 1, '');
RELEASE member;
SAVEPOINT member;
INSERT INTO least_payment (id, key, state, answer) VALUES ((:client_id::bigint << 40) | (:run::bigint + 2), sha256(((:run::bigint + 2)::text || ' ' || :client_id::text)::bytea), 1, '');
RELEASE member;
SAVEPOINT member;
INSERT INTO least_payment (id, key, state, answer) VALUES ((:client_id::bigint << 40) | (:run::bigint + 3), sha256(((:run::bigint + 3)::text || ' ' || :client_id::text)::bytea), 1, '');
RELEASE member;
COMMIT;
\endpipeline
\startpipeline
INSERT INTO least_movement (key) VALUES ((:client_id::bigint << 40) | (:run::bigint + 0));
INSERT INTO least_movement (key) VALUES ((:client_id::bigint << 40) | (:run::bigint + 1));
INSERT INTO least_movement (key) VALUES ((:client_id::bigint << 40) | (:run::bigint + 2));
INSERT INTO least_movement (key) VALUES ((:client_id::bigint << 40) | (:run::bigint + 3));
\endpipeline
\startpipeline
BEGIN;
SAVEPOINT member;
UPDATE least_payment SET state = 2, answer = 'the outcome of the charge, as it is answered' WHERE id = ((:client_id::bigint << 40) | (:run::bigint + 0));
RELEASE member;
SAVEPOINT member;
UPDATE least_payment SET state = 2, answer = 'the outcome of the charge, as it is answered' WHERE id = ((:client_id::bigint << 40) | (:run::bigint + 1));
RELEASE member;
SAVEPOINT member;
UPDATE least_payment SET state = 2, answer = 'the outcome of the charge, as it is answered' WHERE id = ((:client_id::bigint << 40) | (:run::bigint + 2));
RELEASE member;
SAVEPOINT member;
UPDATE least_payment SET state = 2, answer = 'the outcome of the charge, as it is answered' WHERE id = ((:client_id::bigint << 40) | (:run::bigint + 3));
RELEASE member;
COMMIT;
\endpipeline
