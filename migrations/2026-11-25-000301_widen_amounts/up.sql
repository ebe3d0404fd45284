-- Purpose: amounts of up to twelve digits, as gateways take them in some currencies; the server knows the limit of each.
-- Lock: ACCESS EXCLUSIVE on the six tables for a moment: the rules are not checked, because the rows satisfy narrower ones.
-- Rollout: before the first server of this version starts. The version before can't read larger amounts than it allows: no
-- product with such a price is created before it is replaced.
ALTER TABLE products DROP CONSTRAINT products_price_minor_check,
    ADD CONSTRAINT products_price_minor_check CHECK (price_minor BETWEEN 1 AND 999999999999) NOT VALID;
ALTER TABLE orders DROP CONSTRAINT orders_total_minor_check,
    ADD CONSTRAINT orders_total_minor_check CHECK (total_minor BETWEEN 1 AND 999999999999) NOT VALID;
ALTER TABLE order_items DROP CONSTRAINT order_items_unit_minor_check,
    ADD CONSTRAINT order_items_unit_minor_check CHECK (unit_minor BETWEEN 1 AND 999999999999) NOT VALID;
ALTER TABLE payments DROP CONSTRAINT payments_amount_minor_check,
    ADD CONSTRAINT payments_amount_minor_check CHECK (amount_minor BETWEEN 1 AND 999999999999) NOT VALID;
ALTER TABLE refunds DROP CONSTRAINT refunds_amount_minor_check,
    ADD CONSTRAINT refunds_amount_minor_check CHECK (amount_minor BETWEEN 1 AND 999999999999) NOT VALID;
ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_price_minor_check,
    ADD CONSTRAINT subscriptions_price_minor_check CHECK (price_minor BETWEEN 1 AND 999999999999) NOT VALID;
