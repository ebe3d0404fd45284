-- Purpose: the slugs under which posts were published earlier, so that links to them lead to the posts.
-- Lock: SHARE ROW EXCLUSIVE on posts for a moment, because the table refers to it. The table is new.
-- Rollout: before the new version. The previous version neither reads nor writes the table: a slug that it replaces during the
-- rollout is not kept.

CREATE TABLE earlier_post_slugs (
    slug text PRIMARY KEY,
    -- The last post that was published under the slug. A post that has the slug now takes precedence.
    post_id uuid NOT NULL REFERENCES posts (id) ON DELETE CASCADE
);

CREATE INDEX earlier_post_slugs_post_idx ON earlier_post_slugs (post_id);
