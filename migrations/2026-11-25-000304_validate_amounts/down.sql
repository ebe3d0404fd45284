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
