-- The peer's tables: the same tickets and orders, with the indexes that its queries need.
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
CREATE TABLE peer.orders AS SELECT id, account_id, currency, total_minor, status FROM orders;
ALTER TABLE peer.orders ADD PRIMARY KEY (id);
CREATE TABLE peer.payments (
    id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    account_id uuid NOT NULL,
    order_id uuid NOT NULL UNIQUE,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    status smallint NOT NULL,
    gateway_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- The records of its gateway, which are those of Mainstay's sandbox.
CREATE TABLE peer.sandbox_movements (LIKE sandbox_movements INCLUDING ALL);
