DROP FUNCTION refuse_change();
DROP TABLE attempt_limits, changes, jobs, scheduled_tasks, idempotency_keys;
