-- Purpose: accounts read vehicles, and lease them.
-- Lock: SHARE UPDATE EXCLUSIVE on vehicles for the comment, which locks out no statement of a server; privileges take none.
-- Rollout: before the first server of this version starts.
SELECT share_table('vehicles', 'vehicles belong to no account, and a lease changes their status', 'SELECT, UPDATE');
