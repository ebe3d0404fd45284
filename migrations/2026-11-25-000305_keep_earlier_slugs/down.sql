DROP TABLE earlier_post_slugs;
