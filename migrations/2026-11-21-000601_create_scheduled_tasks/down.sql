DROP INDEX operations_finished_at_idx;
DROP TABLE scheduled_tasks;
