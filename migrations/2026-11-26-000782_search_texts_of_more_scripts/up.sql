-- Purpose: earlier tickets and posts in Balinese, Javanese, Tai Viet and the extended blocks of Myanmar are found like new
-- ones.
-- Lock: the rows that change, until all texts that are not ASCII are read again: some seconds for a million tickets. Other
-- rows are only read.
-- Rollout: before the first server of this version starts. The version before misses the words of these rows.
UPDATE tickets SET words = search_words(subject || ' ' || body)
WHERE octet_length(subject || body) > char_length(subject || body)
    AND subject || body ~ '[\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf]';
UPDATE posts SET words = search_words(title || ' ' || summary || ' ' || body)
WHERE octet_length(title || summary || body) > char_length(title || summary || body)
    AND title || summary || body ~ '[\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf]';
