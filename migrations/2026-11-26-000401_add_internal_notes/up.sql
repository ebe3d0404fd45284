-- Purpose: internal notes: comments that customers never see. kind of activities: 12 to 14 are about notes.
-- Lock: ACCESS EXCLUSIVE on comments and activities for a moment, because neither is rewritten; the check of the activities
-- takes SHARE UPDATE EXCLUSIVE.
-- Rollout: before the first server of this version starts. The version before shows all comments to customers, and can't read
-- the history of a ticket with a note: agents write the first note once no server of that version runs.
ALTER TABLE comments ADD COLUMN is_internal boolean NOT NULL DEFAULT false;
ALTER TABLE activities
    DROP CONSTRAINT activities_kind_check,
    ADD CONSTRAINT activities_kind_check CHECK (kind BETWEEN 1 AND 14) NOT VALID;
ALTER TABLE activities VALIDATE CONSTRAINT activities_kind_check;
