DROP FUNCTION refuse_change();
DROP TABLE attempt_limits, jobs, scheduled_tasks, idempotency_keys;
