ALTER TABLE sessions DROP COLUMN longest_pause_seconds, DROP COLUMN proved_at;
ALTER TABLE accounts DROP COLUMN session_idle_seconds, DROP COLUMN session_max_age_seconds;
ALTER TABLE roles DROP COLUMN session_idle_seconds, DROP COLUMN session_max_age_seconds;
