DROP TABLE imported_rows, activities, comments, tickets;
DROP FUNCTION fold_ticket_counts,
    count_updated_tickets, count_deleted_tickets, count_inserted_tickets;
DROP TABLE ticket_counts;
DROP AGGREGATE sum_of_counts (bigint);
