-- The words of the next change are made by the earlier function.
SELECT 1;
