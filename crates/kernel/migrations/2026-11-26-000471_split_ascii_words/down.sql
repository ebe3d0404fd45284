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
