DROP FUNCTION partition_state(regclass, timestamptz), drop_detached(regclass),
    detach_partition(regclass, timestamptz, interval, text),
    stray_time(regclass, timestamptz), add_partition(regclass, timestamptz, bigint), detached_mark(regclass),
    partitions_of(regclass), uuid_time(uuid), uuid_floor(timestamptz);
DROP FUNCTION refuse_change();
DROP TABLE attempt_limits, changes, jobs, scheduled_tasks, idempotency_keys;
