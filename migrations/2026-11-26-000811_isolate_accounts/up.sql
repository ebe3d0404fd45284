-- Purpose: Postgres isolates the rows of each account (docs/database-roles.md).
-- Lock: ACCESS EXCLUSIVE on each table in turn, kept until the end, for a moment: no row is read or written.
-- Rollout: before the first server of this version starts; servers of the version before own the tables, and no policy applies
-- to the owner.

SELECT isolate_rows('accounts', 'id = (SELECT bound_account())');
SELECT isolate_rows(name) FROM unnest(ARRAY[
    'data_exports', 'deletions', 'gateway_customers', 'impersonations', 'imported_rows', 'invitations', 'members', 'operations',
    'orders', 'payments', 'refunds', 'roles', 'service_keys', 'sessions', 'subscriptions', 'tickets', 'webhook_endpoints'
]::regclass[]) AS tables (name);

-- A condition with an operator that is not leakproof, such as @@ and @>, is evaluated behind a policy, so that no index serves
-- it. The view has the condition of the policy and the owner of tickets, to whom no policy applies: it finds tickets by the
-- indexes of words and tags. It has no barrier, because only the fixed statements of the server read it.
CREATE VIEW own_tickets AS
    SELECT id, account_id, words, tags FROM tickets
    WHERE (SELECT current_user <> 'mainstay_account') OR account_id = (SELECT bound_account());
REVOKE ALL ON own_tickets FROM mainstay_server, mainstay_reader, mainstay_account;
GRANT SELECT ON own_tickets TO mainstay_server, mainstay_reader, mainstay_account;

-- Everyone reads what is published.
SELECT isolate_rows('posts', 'account_id = (SELECT bound_account()) OR status = 3', 'account_id = (SELECT bound_account())');
-- The zero id stands for all accounts: each change of a ticket also counts there.
SELECT isolate_rows('ticket_counts',
    'account_id = (SELECT bound_account()) OR account_id = ''00000000-0000-0000-0000-000000000000''');
-- The role of a member of the staff who has invited.
CREATE POLICY of_staff ON roles FOR SELECT TO mainstay_account USING (account_id IS NULL);
-- An endpoint of the platform receives the events of every account. The transaction of the event locks the endpoint, which
-- Postgres permits to a role that may update it; it changes nothing.
CREATE POLICY of_platform ON webhook_endpoints FOR SELECT TO mainstay_account USING (account_id IS NULL);
CREATE POLICY locks_of_platform ON webhook_endpoints FOR UPDATE TO mainstay_account
    USING (account_id IS NULL) WITH CHECK (false);

-- Rows of parents. The sub-select finds those parents only that the account reaches. It is scalar, because Postgres would hash
-- all tickets of an account for EXISTS.
SELECT isolate_rows('comments', '(SELECT true FROM tickets WHERE tickets.id = ticket_id)');
SELECT isolate_rows('activities', '(SELECT true FROM tickets WHERE tickets.id = ticket_id)');
SELECT isolate_rows('ticket_links',
    '(SELECT true FROM tickets WHERE tickets.id = source_id) OR (SELECT true FROM tickets WHERE tickets.id = target_id)');
SELECT isolate_rows('order_items', '(SELECT true FROM orders WHERE orders.id = order_id)');
SELECT isolate_rows('webhook_deliveries',
    '(SELECT true FROM webhook_endpoints WHERE webhook_endpoints.id = endpoint_id)');
-- Rows that no caller of an account reaches: they are those of the staff, of a person, and of jobs.
SELECT isolate_rows(name, 'false') FROM unnest(ARRAY[
    'deletion_notices', 'erased_rows', 'operation_errors', 'system_logs', 'upload_chunks', 'webhook_attempts'
]::regclass[]) AS tables (name);

-- Truncates a part of the ring, which takes the owner of the table.
ALTER FUNCTION rotate_system_logs(bigint, interval) SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION rotate_system_logs(bigint, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rotate_system_logs(bigint, interval) TO mainstay_server;
