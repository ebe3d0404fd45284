-- The tables of the scripts beside this one: the least SQL that could do the same.
CREATE TABLE least_ticket (id uuid PRIMARY KEY, subject text NOT NULL, body text NOT NULL);
CREATE TABLE least_payment (id bigint PRIMARY KEY, key bytea UNIQUE, state integer NOT NULL, answer text NOT NULL) WITH (fillfactor = 50);
CREATE TABLE least_movement (key bigint PRIMARY KEY);
