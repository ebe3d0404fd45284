DROP FUNCTION search_words (text);
DROP FUNCTION search_pairs (text);
DROP FUNCTION search_dense ();
