-- Purpose: the tickets of bulk changes, with what an undo restores.
-- Lock: SHARE ROW EXCLUSIVE on operations for a moment, because the new table refers to it.
-- Rollout: before the first server of this version starts. The version before does not use the table.

CREATE TABLE changed_tickets (
    operation_id uuid NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    -- No reference: the row outlives a deleted ticket.
    ticket_id uuid NOT NULL,
    -- 0 pending, 1 changed, 2 unchanged, 3 skipped, 4 deleted, 5 restored, 6 not restored.
    outcome smallint NOT NULL DEFAULT 0 CHECK (outcome BETWEEN 0 AND 6),
    -- The operation that undoes the change; no reference, so that the row outlives it.
    undo_id uuid,
    -- The version after the change, and what the change replaced; null until then.
    version bigint,
    status smallint,
    kind smallint,
    priority smallint,
    queue text,
    tags text[],
    assignee_id uuid,
    PRIMARY KEY (operation_id, ticket_id),
    CHECK (outcome NOT IN (1, 5, 6) OR num_nulls(version, status, kind, priority, queue, tags) = 0)
);
-- Of the staff, whose statements run as the login of the connection, and of jobs.
SELECT isolate_rows('changed_tickets', 'false');
