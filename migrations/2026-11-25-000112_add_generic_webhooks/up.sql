-- Purpose: events of a provider of the operator's choice. provider: 5 generic.
-- Lock: ACCESS EXCLUSIVE on inbound_events for a moment; the check of its rows takes SHARE UPDATE EXCLUSIVE.
-- Rollout: before the first server starts. Earlier servers can't read the events of this provider, which come once its
-- secrets are configured.
ALTER TABLE inbound_events
    DROP CONSTRAINT inbound_events_provider_check,
    ADD CONSTRAINT inbound_events_provider_check CHECK (provider BETWEEN 1 AND 5) NOT VALID;
ALTER TABLE inbound_events VALIDATE CONSTRAINT inbound_events_provider_check;
