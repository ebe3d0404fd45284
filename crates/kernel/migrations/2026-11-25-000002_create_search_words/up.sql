-- Purpose: functions that turn a text into the words by which it is found, in linear time and in every script.
-- Lock: none; functions are added.
-- Rollout: before the first server of this version starts. The version before does not call them.

-- The characters of scripts that are written without spaces between words, as blocks of Unicode: Thai and Lao, Myanmar,
-- Hangul Jamo, Khmer, Tai scripts, Han's iteration marks, kana without their punctuation, Bopomofo and Hangul's
-- compatibility letters, Han, Yi, Hangul, Han for compatibility, half-width kana and Hangul, and the planes of Han.
CREATE FUNCTION search_dense() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3041-\u309f'
        || '\u30a1-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc'
        || '\U00020000-\U0003ffff]'
$$;

-- Splits the runs of scripts that are written without spaces between words into pairs of characters that overlap, the
-- usual index of such texts (as of Lucene's CJKBigramFilter): a word of two or more characters is found as a phrase of its
-- pairs. Korean has spaces, but its particles are part of the words.
CREATE FUNCTION search_pairs(document text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(
        CASE
            WHEN NOT is_dense THEN letter
            WHEN is_next_dense THEN ' ' || letter || next || ' '
            WHEN is_previous_dense THEN ' '
            ELSE ' ' || letter || ' '
        END, '' ORDER BY place), '')
    FROM (
        SELECT letter, place, is_dense, lead(letter) OVER places AS next,
            lead(is_dense, 1, false) OVER places AS is_next_dense, lag(is_dense, 1, false) OVER places AS is_previous_dense
        FROM (
            SELECT letter, place, letter ~ search_dense() AS is_dense
            FROM string_to_table(document, NULL) WITH ORDINALITY AS letters (letter, place)
        ) AS marked
        WINDOW places AS (ORDER BY place)
    ) AS neighbours
$$;

-- Returns the words of a text. Punctuation of ASCII separates words and nothing else: Postgres' own parser looks in it for
-- tags, addresses, paths and numbers, and reads the rest of the text again at each beginning of one, so that 20,000
-- characters of '<!--', '~/', 'a_' or 'a1@' take it seconds. A single character of a script without spaces is found, too.
CREATE FUNCTION search_words(document text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    -- Texts of earlier versions may be decomposed; what is searched is not.
    plain text := regexp_replace(normalize(document, NFC), '[!-/:-@\[-`{-~]+', ' ', 'g');
BEGIN
    IF plain !~ search_dense() THEN
        RETURN to_tsvector('simple', plain);
    END IF;
    RETURN to_tsvector('simple', search_pairs(plain)) || array_to_tsvector(ARRAY(
        SELECT DISTINCT letter FROM string_to_table(plain, NULL) AS letters (letter) WHERE letter ~ search_dense()));
END
$$;
