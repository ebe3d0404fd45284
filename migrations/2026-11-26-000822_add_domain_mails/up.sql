-- Purpose: mails to owners whose mail domain is no longer proved. kind of mails: 32 domain_lapsed.
-- Lock: ACCESS EXCLUSIVE on mails for a moment, because it is not rewritten. The checks take SHARE UPDATE EXCLUSIVE.
-- Rollout: before the first server of this version starts. The version before can't read the new mails, which exist only after
-- an account has proved a domain.
ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind BETWEEN 1 AND 32) NOT VALID,
    DROP CONSTRAINT mails_parent_check,
    ADD CONSTRAINT mails_parent_check
        CHECK ((kind IN (1, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 27, 28, 31, 32)) = (parent_id IS NOT NULL))
        NOT VALID;
ALTER TABLE mails VALIDATE CONSTRAINT mails_kind_check;
ALTER TABLE mails VALIDATE CONSTRAINT mails_parent_check;
