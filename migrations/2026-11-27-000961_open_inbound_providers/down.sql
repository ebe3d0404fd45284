DELETE FROM inbound_events WHERE provider IS NULL;
ALTER TABLE inbound_events
    DROP COLUMN provider_name,
    ALTER COLUMN provider SET NOT NULL;
