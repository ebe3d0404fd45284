-- Purpose: operations of the staff whose work spans accounts, such as bulk changes of tickets.
-- Lock: ACCESS EXCLUSIVE on operations for a moment; no row is read.
-- Rollout: before the first server of this version starts. The version before can't read an operation without an account: a list
-- with such an operation fails there. Replace its servers before the first bulk change.

ALTER TABLE operations
    -- The account whose data is changed. Null: the staff changes data of several accounts.
    ALTER COLUMN account_id DROP NOT NULL;
