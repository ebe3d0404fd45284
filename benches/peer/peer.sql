-- The peer's tables: the same tickets, with the indexes that its queries need.
CREATE SCHEMA peer;
CREATE TABLE peer.tickets AS
    SELECT id, account_id, requester_id, subject, body, kind, status, priority, queue, language, tags, version, created_at,
        updated_at
    FROM tickets;
ALTER TABLE peer.tickets ADD PRIMARY KEY (id);
CREATE INDEX ON peer.tickets (created_at DESC, id DESC);
CREATE INDEX ON peer.tickets (account_id, created_at DESC, id DESC);
CREATE TABLE peer.activities (id uuid PRIMARY KEY, ticket_id uuid NOT NULL, kind smallint NOT NULL, created_at timestamptz NOT NULL);
CREATE INDEX ON peer.activities (ticket_id, created_at, id);
