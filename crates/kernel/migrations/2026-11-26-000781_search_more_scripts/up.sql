-- Purpose: a part of a word is found in Balinese, Javanese, Tai Viet and the extended blocks of Myanmar, which have no spaces
-- between words, either.
-- Lock: none; a function is replaced.
-- Rollout: at any time. Rows are indexed in the new form when they change.

-- Returns the characters of scripts that are written without spaces between words, as a class of a regular expression.
CREATE OR REPLACE FUNCTION search_dense() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT '[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007'
        || '\u3041-\u309f\u30a1-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uac00-\ud7ff'
        || '\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]'
$$;
