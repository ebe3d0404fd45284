-- Purpose: an application that has a person signed out names where the browser goes next.
-- Lock: ACCESS EXCLUSIVE on oauth_clients, briefly. No row is rewritten.
-- Rollout: before the first server of this version starts. The version before neither reads nor writes the column.

ALTER TABLE oauth_clients
    ADD COLUMN post_logout_redirect_uris text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(post_logout_redirect_uris) <= 20);
