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
    RETURN to_tsvector('simple', search_pairs(plain)) || array_to_tsvector(ARRAY(
        SELECT DISTINCT letter FROM string_to_table(plain, NULL) AS letters (letter) WHERE letter ~ search_dense()));
END
$$;

DROP FUNCTION search_bound (text);
