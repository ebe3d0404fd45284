-- Purpose: events of providers by name, which modules declare.
-- Lock: ACCESS EXCLUSIVE on inbound_events while they are read four times: new webhooks wait. No row is rewritten.
-- Rollout: before the first server of this version starts. The version before stores and reads the events of the providers with
-- a number. It can't read an event of a module's own provider: a list with such an event fails there. Replace its servers
-- before the first of these providers has a secret.

ALTER TABLE inbound_events
    -- The number in mainstay.webhooks.v1.WebhookProvider. Null: a provider that has a name only.
    ALTER COLUMN provider DROP NOT NULL,
    ADD COLUMN provider_name text CHECK (char_length(provider_name) BETWEEN 1 AND 100),
    ADD CONSTRAINT inbound_events_one_provider_check CHECK (num_nonnulls(provider, provider_name) = 1) NOT VALID;
ALTER TABLE inbound_events VALIDATE CONSTRAINT inbound_events_one_provider_check;
-- Decides whether an event of such a provider is a duplicate.
CREATE UNIQUE INDEX inbound_events_named_provider_event_key ON inbound_events (provider_name, provider_event_id)
    WHERE provider_name IS NOT NULL;
CREATE INDEX inbound_events_provider_name_idx ON inbound_events (provider_name, received_at DESC, id DESC)
    WHERE provider_name IS NOT NULL;
