-- Purpose: a text of many different characters of scripts without spaces costs no more to index than a text of words: 20,000
-- random characters of Han had 33,000 lexemes, and words of the same length 3,400.
-- Lock: none; functions are added and replaced.
-- Rollout: at any time. Rows are indexed in the new form when they change.

-- Returns the text that is indexed: without the characters of scripts without spaces that follow the first 4,096 different
-- pairs of them, about 5,000 characters of Chinese. The pairs and characters of a text are thus at most 8,200 lexemes, and a
-- tsvector, which has at most one MiB, takes them beside the words of the longest text.
CREATE FUNCTION search_bound(document text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    pairs CONSTANT integer := 4096;
    found_pairs integer;
    last_place integer;
BEGIN
    IF char_length(document) <= pairs THEN
        RETURN document;
    END IF;
    SELECT count(*), max(place) INTO found_pairs, last_place FROM (
        SELECT min(place) AS place
        FROM (
            SELECT letter || lead(letter, 1, '') OVER (ORDER BY place) COLLATE "C" AS pair, letter, place
            FROM string_to_table(document, NULL) WITH ORDINALITY AS letters (letter, place)
        ) AS neighbours
        WHERE letter ~ search_dense()
        GROUP BY pair
        ORDER BY place
        LIMIT pairs
    ) AS first_pairs;
    IF found_pairs < pairs THEN
        RETURN document;
    END IF;
    RETURN left(document, last_place)
        || regexp_replace(substr(document, last_place + 1), search_dense() || '+', ' ', 'g');
END
$$;

-- Returns the words of a text. Punctuation of ASCII separates words and nothing else: Postgres' own parser looks in it for
-- tags, addresses, paths and numbers, and reads the rest of the text again at each beginning of one, so that 20,000
-- characters of '<!--', '~/', 'a_' or 'a1@' take it seconds. A single character of a script without spaces is found, too.
CREATE OR REPLACE FUNCTION search_words(document text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    is_ascii boolean := octet_length(document) = char_length(document);
    plain text := regexp_replace(CASE WHEN is_ascii THEN document ELSE search_fold(document) END, '[!-/:-@\[-`{-~]+', ' ', 'g');
BEGIN
    IF is_ascii OR plain !~ search_dense() THEN
        RETURN to_tsvector('simple', plain);
    END IF;
    plain := search_bound(plain);
    RETURN to_tsvector('simple', search_pairs(plain)) || array_to_tsvector(ARRAY(
        SELECT DISTINCT letter FROM string_to_table(plain, NULL) AS letters (letter) WHERE letter ~ search_dense()));
END
$$;
