-- Purpose: kinds of operations by name, which modules declare.
-- Lock: ACCESS EXCLUSIVE on operations while they are read once; they are those of 30 days, and no row is rewritten.
-- Rollout: before the first server of this version starts. The version before stores imports without a name, which is the default
-- of the column, and reads the operations whose kind has a number. It can't read an operation of a module's own kind: a list with
-- such an operation fails there. Replace its servers before the first of these kinds is used.

ALTER TABLE operations
    DROP CONSTRAINT operations_kind_check,
    -- The number in mainstay.operations.v1.OperationKind. Null: a kind that a module of a team declares.
    ALTER COLUMN kind DROP NOT NULL,
    -- The format of the file of an import; null for other kinds.
    ALTER COLUMN format DROP NOT NULL,
    ADD COLUMN kind_name text NOT NULL DEFAULT 'import_tickets' CHECK (char_length(kind_name) BETWEEN 1 AND 100);
