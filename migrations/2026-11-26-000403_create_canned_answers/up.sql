-- Purpose: canned answers of staff.
-- Lock: none; the table is new.
-- Rollout: before the first server of this version starts.
CREATE TABLE canned_answers (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- With placeholders in double braces.
    body text NOT NULL CHECK (char_length(body) BETWEEN 1 AND 20000),
    -- A user or a service key.
    author_id uuid NOT NULL,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX canned_answers_name_key ON canned_answers (lower(name));
CREATE INDEX canned_answers_created_at_idx ON canned_answers (created_at DESC, id DESC);
