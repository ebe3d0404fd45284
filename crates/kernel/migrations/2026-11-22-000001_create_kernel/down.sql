DROP FUNCTION refuse_change();
DROP TABLE attempt_limits, scheduled_tasks, idempotency_keys;
