-- Purpose: none; the words of the next change are made by the earlier function.
-- Lock: none.
SELECT 1;
