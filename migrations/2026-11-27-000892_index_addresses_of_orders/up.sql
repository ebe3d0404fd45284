-- Purpose: the erasure of a person finds the orders that others placed with the person's address.
-- Lock: SHARE on orders while the index is built: writes wait for it. Few orders have an address, so it takes as long as the
-- table is read once.
-- Rollout: before the first server of this version starts; the version before goes on after it.

CREATE INDEX orders_confirmation_email_idx ON orders (lower(confirmation_email))
    WHERE lower(confirmation_email) IS NOT NULL;
