-- The version before ignores the scopes that were added.
SELECT 1;
