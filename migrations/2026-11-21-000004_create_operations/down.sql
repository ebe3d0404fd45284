DROP TABLE imported_rows, upload_chunks, operation_errors, operations;
