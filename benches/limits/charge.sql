-- The least SQL that could charge exactly once: the intent under its key, the movement at the gateway and the outcome with the
-- answer, each in a commit of its own. `run` begins after what earlier runs have used:
--   psql -f benches/limits/tables.sql && pgbench -n -M prepared -c 16 -j 1 -T 3 -D run=0 -f benches/limits/charge.sql
\set run :run + 1
INSERT INTO least_payment (id, key, state, answer) VALUES ((:client_id::bigint << 40) | :run::bigint, sha256((:run::text || ' ' || :client_id::text)::bytea), 1, '');
INSERT INTO least_movement (key) VALUES ((:client_id::bigint << 40) | :run::bigint);
UPDATE least_payment SET state = 2, answer = 'the outcome of the charge, as it is answered' WHERE id = ((:client_id::bigint << 40) | :run::bigint);
