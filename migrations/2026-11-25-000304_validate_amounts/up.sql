-- Purpose: the rules on amounts are known to hold for all rows, so that a backup restores them.
-- Lock: SHARE UPDATE EXCLUSIVE on one table after another while it is read: reads and writes go on.
-- Rollout: any time after the rules were widened.
ALTER TABLE products VALIDATE CONSTRAINT products_price_minor_check;
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_minor_check;
ALTER TABLE order_items VALIDATE CONSTRAINT order_items_unit_minor_check;
ALTER TABLE payments VALIDATE CONSTRAINT payments_amount_minor_check;
ALTER TABLE refunds VALIDATE CONSTRAINT refunds_amount_minor_check;
ALTER TABLE subscriptions VALIDATE CONSTRAINT subscriptions_price_minor_check;
