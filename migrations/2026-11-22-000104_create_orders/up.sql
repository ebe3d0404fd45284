-- Purpose: products, orders and their items.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because orders refers to it; all tables are new.
-- Rollout: before the first server starts.

-- Amounts are in the currency's smallest unit and have at most eight digits: the gateways take no more.
CREATE TABLE products (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 1 AND 99999999),
    archived_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- 1 month, 2 year; null: sold once, in an order.
    billing_interval smallint CHECK (billing_interval BETWEEN 1 AND 2)
);
CREATE INDEX products_offered_idx ON products (created_at DESC, id DESC) WHERE archived_at IS NULL;

-- Numbers that people read to each other. They have gaps, because an order that is rolled back keeps its number.
CREATE SEQUENCE order_numbers AS bigint START 100001;

-- Enum columns carry the numbers of mainstay.orders.v1. status: 1 open, 2 paying, 3 paid, 4 cancelled, 5 refunded.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    -- Callers see it with a check digit.
    number bigint NOT NULL DEFAULT nextval('order_numbers') CONSTRAINT orders_number_key UNIQUE CHECK (number > 0),
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- A user or a service key.
    placed_by uuid NOT NULL,
    -- Where mail about the order is sent; null: to the user who placed it.
    confirmation_email text CHECK (char_length(confirmation_email) BETWEEN 3 AND 254),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint NOT NULL CHECK (total_minor BETWEEN 1 AND 99999999),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 5),
    -- The payments module adds the foreign key: its table is created later, and refers to this one.
    payment_id uuid,
    paid_at timestamptz,
    ended_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- An order has a payment exactly while one is pending or has succeeded, and each time exactly if the event
    -- happened.
    CONSTRAINT orders_state_check CHECK (
        ((status IN (2, 3, 5)) = (payment_id IS NOT NULL))
        AND ((status IN (3, 5)) = (paid_at IS NOT NULL))
        AND ((status IN (4, 5)) = (ended_at IS NOT NULL))
    )
);
CREATE INDEX orders_created_at_idx ON orders (created_at DESC, id DESC);
CREATE INDEX orders_status_idx ON orders (status, created_at DESC, id DESC);
CREATE INDEX orders_account_created_at_idx ON orders (account_id, created_at DESC, id DESC);
-- A payment pays one order.
CREATE UNIQUE INDEX orders_payment_key ON orders (payment_id) WHERE payment_id IS NOT NULL;

CREATE TABLE order_items (
    order_id uuid NOT NULL REFERENCES orders (id),
    position smallint NOT NULL CHECK (position >= 0),
    product_id uuid NOT NULL REFERENCES products (id),
    -- The name and the price when the order was placed.
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    unit_minor bigint NOT NULL CHECK (unit_minor BETWEEN 1 AND 99999999),
    PRIMARY KEY (order_id, position)
);
CREATE INDEX order_items_product_idx ON order_items (product_id);
CREATE TRIGGER order_items_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- At commit, the total is the sum of the items. Deferred, because an order and its items take several statements.
CREATE FUNCTION check_order_total() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject uuid := CASE TG_TABLE_NAME WHEN 'orders' THEN (to_jsonb(NEW) ->> 'id')::uuid ELSE (to_jsonb(NEW) ->> 'order_id')::uuid END;
BEGIN
    IF (SELECT total_minor FROM orders WHERE id = subject)
        IS DISTINCT FROM (SELECT sum(quantity * unit_minor)::bigint FROM order_items WHERE order_id = subject) THEN
        RAISE EXCEPTION 'order %: the total is not the sum of its items', subject USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER orders_total AFTER INSERT OR UPDATE OF total_minor, currency ON orders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_order_total();
CREATE CONSTRAINT TRIGGER order_items_total AFTER INSERT ON order_items
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_order_total();
