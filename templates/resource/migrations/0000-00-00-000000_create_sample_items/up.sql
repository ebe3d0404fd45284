-- Purpose: sample items, which belong to accounts.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because sample_items refers to it; the table is new.
-- Rollout: before the first server with this resource starts.

-- The schema is the module's own and comes first in the search path; it exists when this runs.
CREATE TABLE sample_items (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX sample_items_created_at_idx ON sample_items (created_at DESC, id DESC);
CREATE INDEX sample_items_account_idx ON sample_items (account_id, created_at DESC, id DESC);

-- Callers of an account reach its rows only.
SELECT isolate_rows('sample_items');
