ALTER TABLE leases DROP COLUMN announced_at;
