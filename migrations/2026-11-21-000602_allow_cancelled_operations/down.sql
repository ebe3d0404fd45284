-- To the version before, what was cancelled failed.
UPDATE operations SET state = 4, failure_code = 'BUSINESS_RULE_VIOLATION', failure_message = 'It was cancelled.'
WHERE state = 5;
ALTER TABLE operations DROP CONSTRAINT operations_state_check;
ALTER TABLE operations ADD CONSTRAINT operations_state_check CHECK (state BETWEEN 1 AND 4);
