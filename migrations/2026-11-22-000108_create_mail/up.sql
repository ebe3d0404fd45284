-- Purpose: mail that is to be sent, and mail that was sent.
-- Lock: none that matters; the table is new.
-- Rollout: before the first server starts.

-- An outbox: the transaction that causes a mail writes its row. kind: 1 password reset, 2 order confirmation, 3 payment
-- receipt, 4 registration. state: 1 pending, 2 sent, 3 failed.
CREATE TABLE mails (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
    -- The request for a reset, the order, the payment or the registration. The address and the text are derived from it when the mail is
    -- sent, and stored nowhere.
    subject_id uuid NOT NULL,
    -- The user who requested a reset. If the address is unknown, some other id: the request costs the same, so that its
    -- duration doesn't reveal who has a user here. No reference for that reason.
    user_id uuid,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The error of the last attempt, without addresses.
    failure text,
    -- The end of the lease of the worker that is sending it; null: none is.
    held_until timestamptz,
    -- From then on, the mail is useless to its recipient, and is not sent.
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT mails_user_check CHECK ((kind = 1) = (user_id IS NOT NULL)),
    CONSTRAINT mails_held_check CHECK (state = 1 OR held_until IS NULL),
    CONSTRAINT mails_finished_check CHECK ((state = 1) = (finished_at IS NULL)),
    -- One mail of a kind per subject, however often its cause is processed.
    CONSTRAINT mails_subject_key UNIQUE (kind, subject_id)
);
-- Finds the mail to send.
CREATE INDEX mails_pending_idx ON mails (id) WHERE state = 1;
-- Finds the mail that is old enough to be deleted.
CREATE INDEX mails_finished_at_idx ON mails (finished_at) WHERE state <> 1;
