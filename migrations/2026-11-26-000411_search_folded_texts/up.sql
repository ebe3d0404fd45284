-- Purpose: the words of earlier tickets and posts are folded, so that searches find them like new ones.
-- Lock: the rows that change, until all texts that are not ASCII are read again: up to two minutes for a million tickets.
-- A change of such a ticket waits for that, beyond its deadline if there are many; reads and new tickets do not.
-- Rollout: before the first server of this version starts, at a quiet time where there are many tickets. The version before
-- misses the folded words.
UPDATE tickets SET words = search_words(subject || ' ' || body)
WHERE octet_length(subject || body) > char_length(subject || body)
    AND words IS DISTINCT FROM search_words(subject || ' ' || body);
UPDATE posts SET words = search_words(title || ' ' || summary || ' ' || body)
WHERE octet_length(title || summary || body) > char_length(title || summary || body)
    AND words IS DISTINCT FROM search_words(title || ' ' || summary || ' ' || body);
