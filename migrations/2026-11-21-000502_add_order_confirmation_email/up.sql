-- Lock: ACCESS EXCLUSIVE on orders for the moment it takes to note a column without a default; the check is not held
-- against the rows there are, which have none. Rollout: before the first server of this version starts; the one before
-- neither reads nor writes it.

-- Where mail about the order goes; null: to the user who placed it.
ALTER TABLE orders ADD COLUMN confirmation_email text;
ALTER TABLE orders ADD CONSTRAINT orders_confirmation_email_check
    CHECK (char_length(confirmation_email) BETWEEN 3 AND 254) NOT VALID;
