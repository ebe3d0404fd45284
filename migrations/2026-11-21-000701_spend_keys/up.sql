-- Lock: ACCESS EXCLUSIVE on payments, refunds and subscriptions for the moment a column is added that is null everywhere.
-- Rollout: before the first server of this version starts; the version before takes no notice of the column.

-- When the gateway's key of the attempt was given up: from then on the gateway is not asked, but looked at, once what it
-- did last can be found there.
ALTER TABLE payments ADD COLUMN spent_at timestamptz;
ALTER TABLE refunds ADD COLUMN spent_at timestamptz;
ALTER TABLE subscriptions ADD COLUMN spent_at timestamptz;
