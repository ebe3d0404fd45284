ALTER TABLE subscriptions DROP COLUMN customer_id;
ALTER TABLE payments DROP COLUMN customer_id;
DROP TABLE gateway_customers;
