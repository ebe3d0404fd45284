-- Lock: ACCESS EXCLUSIVE on webhook_deliveries and SHARE ROW EXCLUSIVE on webhook_endpoints, for a moment.
-- Rollout: before the first server of this version starts. The version before, which removes an endpoint, leaves its
-- deliveries until they are old; it lists and sends none of them.

-- An endpoint may have been told very much. It is removed at once, and its deliveries by a job, slice by slice; those who
-- add deliveries hold the endpoints against removal, so none is added to one that is gone.
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_endpoint_id_fkey;
