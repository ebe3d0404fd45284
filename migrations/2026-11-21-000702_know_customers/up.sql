-- Lock: ACCESS EXCLUSIVE on payments and subscriptions for the moment a column is added that is null everywhere; SHARE ROW
-- EXCLUSIVE on accounts for the moment the new table refers to it.
-- Rollout: before the first server of this version starts, and while no subscription is pending: what the version before
-- began with a customer of its own, this one would begin with another.

-- What a gateway knows an account by: one customer, whatever it pays for.
CREATE TABLE gateway_customers (
    account_id uuid NOT NULL REFERENCES accounts (id),
    gateway text NOT NULL CHECK (char_length(gateway) BETWEEN 1 AND 40),
    customer_id text NOT NULL CHECK (char_length(customer_id) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, gateway)
);

-- As it was when this was asked for, or for a subscription before it was: the gateway is told the same under one key.
ALTER TABLE payments ADD COLUMN customer_id text;
ALTER TABLE subscriptions ADD COLUMN customer_id text;
