-- Purpose: tickets can be merged into others, and linked to others. kind of activities: 15 to 18 are about merges and links.
-- Lock: ACCESS EXCLUSIVE on tickets and activities for a moment, because neither is rewritten, and SHARE ROW EXCLUSIVE on
-- tickets, because ticket_links refers to it; the checks of the rows take SHARE UPDATE EXCLUSIVE.
-- Rollout: before the first server of this version starts. The version before can't read the history of a ticket that was
-- merged or linked, and reopens a merged ticket.
ALTER TABLE tickets
    -- No reference: the ticket that it was merged into may be deleted.
    ADD COLUMN merged_into_id uuid,
    ADD CONSTRAINT tickets_merged_check CHECK (merged_into_id IS NULL OR (status = 3 AND merged_into_id <> id)) NOT VALID;
ALTER TABLE tickets VALIDATE CONSTRAINT tickets_merged_check;
ALTER TABLE activities
    DROP CONSTRAINT activities_kind_check,
    ADD CONSTRAINT activities_kind_check CHECK (kind BETWEEN 1 AND 18) NOT VALID;
ALTER TABLE activities VALIDATE CONSTRAINT activities_kind_check;

-- kind, as seen from the source: 1 related, 2 blocks, 4 duplicate of; 3 and 5 are the inverses of 2 and 4, and are never stored.
CREATE TABLE ticket_links (
    id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    target_id uuid NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    kind smallint NOT NULL CHECK (kind IN (1, 2, 4)),
    -- A user or a service key.
    author_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT ticket_links_other_check CHECK (source_id <> target_id)
);
-- The links of a ticket are few, so they are collected from both indexes and sorted.
CREATE INDEX ticket_links_source_idx ON ticket_links (source_id);
CREATE INDEX ticket_links_target_idx ON ticket_links (target_id);
CREATE UNIQUE INDEX ticket_links_pair_key ON ticket_links (least(source_id, target_id), greatest(source_id, target_id));
