-- The words of the next change are made by the earlier function, and those of all texts by 000303.
SELECT 1;
