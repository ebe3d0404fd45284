ALTER TABLE inbound_events
    DROP CONSTRAINT inbound_events_provider_check,
    ADD CONSTRAINT inbound_events_provider_check CHECK (provider BETWEEN 1 AND 4);
