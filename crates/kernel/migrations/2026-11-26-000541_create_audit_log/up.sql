-- Purpose: the audit log: its entries, by months, and the chain that makes a later change of them detectable.
-- Lock: none that matters; all tables are new.
-- Rollout: before the first server of this version starts, because each of its writes adds an entry.

-- The acts of people, services and jobs. An entry commits with the change that it records. Its time is that of its id.
CREATE TABLE audit_entries (
    id uuid PRIMARY KEY,
    -- The id of the transaction, in 64 bits. The chain has the entries in the order of these ids: once no transaction below
    -- an id runs, none can add an entry below it any more.
    writer bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    -- The RPC, or the kind of job.
    method text NOT NULL,
    -- The numbers of mainstay.audit.v1.AuditOutcome and ActorKind.
    outcome smallint NOT NULL CHECK (outcome BETWEEN 1 AND 2),
    actor_kind smallint NOT NULL CHECK (actor_kind BETWEEN 1 AND 5),
    actor_id uuid,
    -- The account that may see the entry.
    account_id uuid,
    resource_kind text NOT NULL,
    resource_id uuid,
    request_id text,
    -- The changed fields, each with the value before and after, except for personal and secret values. The type json keeps
    -- the text as it was written, which the chain needs.
    changes json NOT NULL,
    -- The personal values, with the salt of their digest. Both are erased with the values of the person; the digest stays.
    salt bytea CHECK (octet_length(salt) = 16),
    personal json,
    personal_digest bytea CHECK (octet_length(personal_digest) = 32),
    CHECK ((salt IS NULL) = (personal IS NULL)),
    CHECK (personal IS NULL OR personal_digest IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE TABLE audit_entries_rest PARTITION OF audit_entries DEFAULT;
CREATE INDEX audit_entries_account_idx ON audit_entries (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_entries_actor_idx ON audit_entries (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entries_resource_idx ON audit_entries (resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX audit_entries_method_idx ON audit_entries (method, id);
-- Finds the entries that the chain lacks, which are the last ones.
CREATE INDEX audit_entries_writer_idx ON audit_entries (writer, id);

-- The chain, by the months in which its links were added: link n covers link n - 1 and the digest of an entry.
CREATE TABLE audit_links (
    id uuid PRIMARY KEY,
    -- From 1, without a gap.
    number bigint NOT NULL CHECK (number > 0),
    entry_id uuid NOT NULL,
    -- SHA-256 of the entry.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- SHA-256 of the hash before, the number, the id and the digest.
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    -- A checkpoint, on the first and the last link of each run: which key it was made with, and the MAC of all the above.
    seal bytea CHECK (octet_length(seal) = 40)
) PARTITION BY RANGE (id);
CREATE TABLE audit_links_rest PARTITION OF audit_links DEFAULT;
CREATE INDEX audit_links_entry_idx ON audit_links (entry_id);

-- The end of the chain, in one row, whose lock serializes the runs of the task that lengthens it.
CREATE TABLE audit_chain (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    number bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    link_id uuid NOT NULL,
    -- The writer and the id of the last entry.
    writer bigint NOT NULL,
    entry_id uuid NOT NULL
);
INSERT INTO audit_chain (number, hash, link_id, writer, entry_id) VALUES (
    0, decode(repeat('00', 32), 'hex'), '00000000-0000-0000-0000-000000000000', 0, '00000000-0000-0000-0000-000000000000'
);

-- An entry only loses its personal values.
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.salt IS NULL AND NEW.personal IS NULL
        AND to_jsonb(NEW) - 'salt' - 'personal' = to_jsonb(OLD) - 'salt' - 'personal'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_entries is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entries_erase_only BEFORE UPDATE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
-- Per statement, so these guard the tables and not their partitions: the kernel moves rows to the partitions of their
-- months, and drops those past their retention.
CREATE TRIGGER audit_entries_append_only BEFORE DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_links_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- The owner of the tables lacks these privileges, too, unless it takes them back.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries, audit_links FROM CURRENT_USER, PUBLIC;
GRANT UPDATE (salt, personal) ON audit_entries TO CURRENT_USER;
