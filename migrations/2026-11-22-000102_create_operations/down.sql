DROP TABLE upload_chunks, operation_errors, operations;
