DROP FUNCTION refuse_change();
DROP TABLE login_limits, scheduled_tasks, idempotency_keys;
