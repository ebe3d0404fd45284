-- Purpose: accounts read vehicles, and lease them.
-- Lock: none; privileges take no lock on a table.
-- Rollout: before the first server of this version starts.
SELECT share_table('vehicles', 'vehicles belong to no account, and a lease changes their status', 'SELECT, UPDATE');
