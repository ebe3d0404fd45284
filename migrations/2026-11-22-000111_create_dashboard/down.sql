DROP FUNCTION rotate_system_logs(bigint, interval);
DROP TABLE system_logs, system_log_ring;
