-- The least SQL that could create a ticket: a row with a primary key, in a commit of its own.
--   psql -f benches/limits/tables.sql && pgbench -n -M prepared -c 16 -j 1 -T 3 -f benches/limits/create.sql
INSERT INTO least_ticket (id, subject, body) VALUES (gen_random_uuid(), 'Trouble with the benchmark', 'Dear support team, since the last update our account can no longer be used as it should be. Please look into it and tell us what to do next. Kind regards from all of us.');
