ALTER TABLE payments DROP COLUMN spent_at;
ALTER TABLE refunds DROP COLUMN spent_at;
ALTER TABLE subscriptions DROP COLUMN spent_at;
