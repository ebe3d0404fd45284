DROP TABLE changed_tickets;
