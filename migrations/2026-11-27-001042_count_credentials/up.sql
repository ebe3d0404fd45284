-- Purpose: tokens that a client got by client credentials end when the client loses the grant, also if it gets the grant again.
-- Lock: ACCESS EXCLUSIVE on oauth_clients for a moment, because it is not rewritten.
-- Rollout: before the first server of this version starts. The version before ignores the number: do not take client credentials
-- away and give them back before its last server is replaced.
ALTER TABLE oauth_clients
    -- How often the client has lost the grant. A token names the number at its issue.
    ADD COLUMN credentials_epoch integer NOT NULL DEFAULT 0;
