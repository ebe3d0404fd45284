-- Lock: none that matters; a new table only. Rollout: before the first server of this version starts.

-- Mail on its way and mail that has gone: rows are written by the transaction that caused them. kind: 1 password reset,
-- 2 order confirmation, 3 payment receipt. state: 1 pending, 2 sent, 3 failed.
CREATE TABLE mails (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 3),
    -- What it is about: the reset that was asked for, the order, the payment. Address and text are made of it when it is
    -- sent, and kept nowhere.
    subject_id uuid NOT NULL,
    -- The user who asked for a reset; anything for an address that nobody has, whose row costs what any other does.
    user_id uuid,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- What the last attempt came to, without addresses.
    failure text,
    -- Until then whoever began the last attempt may be at it.
    held_until timestamptz,
    -- From then on it is worth nothing to whom it is for.
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT mails_user_check CHECK ((kind = 1) = (user_id IS NOT NULL)),
    CONSTRAINT mails_held_check CHECK (state = 1 OR held_until IS NULL),
    CONSTRAINT mails_finished_check CHECK ((state = 1) = (finished_at IS NULL)),
    -- One of a kind about one subject, however often its cause is told again.
    CONSTRAINT mails_subject_key UNIQUE (kind, subject_id)
);
CREATE INDEX mails_pending_idx ON mails (id) WHERE state = 1;
CREATE INDEX mails_finished_at_idx ON mails (finished_at) WHERE state <> 1;
