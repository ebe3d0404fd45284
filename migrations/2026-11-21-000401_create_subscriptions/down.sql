DROP TABLE subscriptions;
ALTER TABLE products DROP COLUMN billing_interval;
