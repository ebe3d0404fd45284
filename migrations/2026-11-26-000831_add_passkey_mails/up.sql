-- Purpose: kind of mails: 41 passkey added, 42 passkey removed, 43 passkey refused.
-- Lock: ACCESS EXCLUSIVE on mails, at first for a moment, because it is not rewritten. The checks take SHARE UPDATE EXCLUSIVE,
-- and the indexes SHARE while the mails are read: new mails wait. No other table is locked, so that users stay readable.
-- Rollout: before the first server of this version starts. The version before cannot read the new mails: its attempt fails,
-- and the mail waits until a server of this version repeats it. Its search for other mails than urgent ones reads the whole
-- table, because the condition of the new index is narrower. Replace its servers soon.

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 43) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check CHECK (
        (kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 27, 28, 31, 32, 41, 42, 43)) = (parent_id IS NOT NULL)
    ) NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
-- The new kinds are urgent.
DROP INDEX mails_urgent_due_idx, mails_bulk_due_idx;
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28, 41, 42, 43);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8, 11, 12, 13, 21, 22, 23, 24, 27, 28, 41, 42, 43);
