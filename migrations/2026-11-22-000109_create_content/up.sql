-- Purpose: posts.
-- Lock: SHARE ROW EXCLUSIVE on accounts and users for a moment, because posts refers to them. All tables are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.content.v1. status: 1 draft, 2 scheduled, 3 published.
CREATE TABLE posts (
    id uuid PRIMARY KEY,
    -- The author's account.
    account_id uuid NOT NULL REFERENCES accounts (id),
    author_id uuid NOT NULL REFERENCES users (id),
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND char_length(slug) <= 100),
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    summary text NOT NULL CHECK (char_length(summary) <= 500),
    body text NOT NULL CHECK (char_length(body) BETWEEN 1 AND 65536),
    language text NOT NULL CHECK (char_length(language) BETWEEN 2 AND 35),
    tags text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 20),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When the post was published, or is due to be.
    published_at timestamptz,
    -- Stored, because a search with many matches checks rows in the list's order and would parse the text of each.
    -- 'simple', because the texts are in several languages, and the stemmer of the wrong one finds the wrong words.
    words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', title || ' ' || summary || ' ' || body)) STORED,
    CONSTRAINT posts_slug_key UNIQUE (slug),
    CONSTRAINT posts_state_check CHECK ((status = 1) = (published_at IS NULL))
);

-- What is published: newest first, those of one author, by label, by words.
CREATE INDEX posts_published_idx ON posts (published_at DESC, id DESC) WHERE status = 3;
CREATE INDEX posts_author_published_idx ON posts (author_id, published_at DESC, id DESC) WHERE status = 3;
CREATE INDEX posts_tags_idx ON posts USING gin (tags) WHERE status = 3;
CREATE INDEX posts_words_idx ON posts USING gin (words) WHERE status = 3;
-- What is not: newest first, and those of one author.
CREATE INDEX posts_drafts_idx ON posts (created_at DESC, id DESC) WHERE status <> 3;
CREATE INDEX posts_author_drafts_idx ON posts (author_id, created_at DESC, id DESC) WHERE status <> 3;

-- What an account or a user has, when either is to be removed.
CREATE INDEX posts_account_idx ON posts (account_id);
CREATE INDEX posts_author_idx ON posts (author_id);
