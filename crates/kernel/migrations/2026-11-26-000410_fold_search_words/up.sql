-- Purpose: words are found in every usual spelling: full and half width, Greek and German case, Arabic and Persian letters,
-- with or without marks that have no width.
-- Lock: none; functions are added and replaced.
-- Rollout: before the first server of this version starts. The version before folds no query: until it is replaced, and
-- after a rollback, its searches miss words with letters that are folded, such as ß and Arabic yeh.

-- Returns the form of a text in which it is searched: the compatible characters of NFKC, without marks that have no width
-- (soft hyphen, joiners, directions, variation selectors), vowel points and tatweel, and with one letter for the variants
-- of Greek, German, Arabic and Persian, as Lucene's normalization filters of these languages define them. Most texts are
-- ASCII and stay as they are.
CREATE FUNCTION search_fold(document text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(document) = char_length(document) THEN document ELSE
        replace(replace(translate(
            regexp_replace(
                normalize(document, NFKC),
                '[\u00ad\u034f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u061c\u0640\u064b-\u065f\u0670'
                    || '\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]+',
                '', 'g'),
            U&'\03A3\03C2\0622\0623\0625\0629\0643\0649\064A', U&'\03C3\03C3\0627\0627\0627\0647\06A9\06CC\06CC'),
            U&'\00DF', 'ss'), U&'\1E9E', 'ss') END
$$;

-- Returns the words of a text. Punctuation of ASCII separates words and nothing else: Postgres' own parser looks in it for
-- tags, addresses, paths and numbers, and reads the rest of the text again at each beginning of one, so that 20,000
-- characters of '<!--', '~/', 'a_' or 'a1@' take it seconds. A single character of a script without spaces is found, too.
CREATE OR REPLACE FUNCTION search_words(document text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain text := regexp_replace(search_fold(document), '[!-/:-@\[-`{-~]+', ' ', 'g');
BEGIN
    IF plain !~ search_dense() THEN
        RETURN to_tsvector('simple', plain);
    END IF;
    RETURN to_tsvector('simple', search_pairs(plain)) || array_to_tsvector(ARRAY(
        SELECT DISTINCT letter FROM string_to_table(plain, NULL) AS letters (letter) WHERE letter ~ search_dense()));
END
$$;
