DELETE FROM webhook_deliveries
WHERE NOT EXISTS (SELECT FROM webhook_endpoints WHERE webhook_endpoints.id = webhook_deliveries.endpoint_id);
ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_endpoint_id_fkey
    FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints (id) ON DELETE CASCADE;
