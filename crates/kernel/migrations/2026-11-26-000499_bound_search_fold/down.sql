-- Returns the form of a text in which it is searched: the compatible characters of NFKC, without marks that have no width
-- (soft hyphen, joiners, directions, variation selectors), vowel points and tatweel, and with one letter for the variants
-- of Greek, German, Arabic and Persian, as Lucene's normalization filters of these languages define them. Most texts are
-- ASCII and stay as they are.
CREATE OR REPLACE FUNCTION search_fold(document text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
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
