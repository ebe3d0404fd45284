-- The words before are made by the migration that is reverted next.
SELECT 1;
