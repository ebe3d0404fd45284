-- Purpose: tickets and posts are found in every script, and no text costs Postgres more time than its length.
-- Lock: ACCESS EXCLUSIVE on tickets and posts for a moment; neither is rewritten.
-- Rollout: before the first server of this version starts. The version before reads the column as it did and never writes
-- it. Until it is replaced, it does not find tickets of this version by words with punctuation, such as addresses.

-- An expression of a stored column can't be changed before Postgres 17, and another column would leave the attack on this
-- one open: the values stay, and a trigger makes the next ones.
ALTER TABLE tickets ALTER COLUMN words DROP EXPRESSION;
ALTER TABLE tickets ALTER COLUMN words SET DEFAULT '';
CREATE FUNCTION set_ticket_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.subject <> OLD.subject OR NEW.body <> OLD.body THEN
        NEW.words := search_words(NEW.subject || ' ' || NEW.body);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tickets_words BEFORE INSERT OR UPDATE OF subject, body ON tickets
    FOR EACH ROW EXECUTE FUNCTION set_ticket_words();

ALTER TABLE posts ALTER COLUMN words DROP EXPRESSION;
ALTER TABLE posts ALTER COLUMN words SET DEFAULT '';
CREATE FUNCTION set_post_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.title <> OLD.title OR NEW.summary <> OLD.summary OR NEW.body <> OLD.body THEN
        NEW.words := search_words(NEW.title || ' ' || NEW.summary || ' ' || NEW.body);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER posts_words BEFORE INSERT OR UPDATE OF title, summary, body ON posts
    FOR EACH ROW EXECUTE FUNCTION set_post_words();
