DROP TABLE posts, content_revision;
