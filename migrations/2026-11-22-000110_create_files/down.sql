DROP TABLE file_links, files, file_usage, stored_objects;
