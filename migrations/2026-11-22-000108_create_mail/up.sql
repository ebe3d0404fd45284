-- Purpose: mail that is to be sent, mail that was sent, and the addresses that are sent none.
-- Lock: none that matters; the tables are new.
-- Rollout: before the first server starts.

-- An outbox: the transaction that causes a mail writes its row. kind: 1 password reset, 2 order confirmation, 3 payment
-- receipt, 4 registration, 5 refund, 6 subscription receipt, 7 unpaid subscription, 8 sign-in from a new place, 9 ticket
-- received, 10 reply to a ticket. state: 1 pending, 2 sent, 3 failed, 4 given up.
CREATE TABLE mails (
    id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 10),
    -- What the mail is about: the request for a reset, the order, the payment, and so on. The address and the text are
    -- derived from it when the mail is sent, and stored nowhere.
    topic_id uuid NOT NULL,
    -- What the topic belongs to: the user of a reset or a sign-in, the subscription, the ticket of a reply. If the
    -- address of a reset is unknown, some other id: the request costs the same, so that its duration doesn't reveal who
    -- has a user here. No reference for that reason.
    parent_id uuid,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- The error of the last attempt, without addresses.
    failure text,
    -- The end of the lease of the worker that is sending it; null: none is.
    leased_until timestamptz,
    -- The leases since the last outcome that was stored: those before the present one ended because whoever had them failed
    -- or died.
    leases integer NOT NULL DEFAULT 0 CHECK (leases >= 0),
    -- When a worker is to look at it: at once, for the next attempt, or if the present one has no outcome; null once it is
    -- finished.
    due_at timestamptz,
    -- The trace of the request or job that caused it (W3C), if that is recorded: the worker that sends it continues it.
    traceparent text CHECK (char_length(traceparent) = 55),
    -- When it was counted among the mails that its recipient gets; null: it is still to be counted, or a provider
    -- rejected it.
    counted_at timestamptz,
    -- From then on, the mail is useless to its recipient, and is not sent.
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT mails_parent_check CHECK ((kind IN (1, 6, 7, 8, 10)) = (parent_id IS NOT NULL)),
    CONSTRAINT mails_leased_check CHECK (state = 1 OR leased_until IS NULL),
    CONSTRAINT mails_finished_check CHECK ((state = 1) = (finished_at IS NULL)),
    CONSTRAINT mails_due_check CHECK ((state = 1) = (due_at IS NOT NULL)),
    -- One mail of a kind per topic, however often its cause is processed.
    CONSTRAINT mails_topic_key UNIQUE (kind, topic_id)
);
-- Find the mail to send: that which somebody waits for, and all other mail, so that much of the one delays none of the other.
CREATE INDEX mails_urgent_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind IN (1, 4, 8);
CREATE INDEX mails_bulk_due_idx ON mails (due_at) WHERE due_at IS NOT NULL AND kind NOT IN (1, 4, 8);
-- Lists the mail that failed or was given up, the last one first.
CREATE INDEX mails_failed_idx ON mails (finished_at DESC, id DESC) WHERE state IN (3, 4);
-- Finds the mail that is old enough to be deleted.
CREATE INDEX mails_finished_at_idx ON mails (finished_at) WHERE state <> 1;

-- Addresses that are sent no mail; for reason 3, no notifications. reason: 1 bounce, 2 complaint, 3 unsubscribed.
CREATE TABLE mail_suppressions (
    -- As in users, if it can be.
    address text NOT NULL CHECK (char_length(address) BETWEEN 1 AND 320),
    reason smallint NOT NULL CHECK (reason BETWEEN 1 AND 3),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (address, reason)
);
-- Lists them, the last one first.
CREATE INDEX mail_suppressions_created_at_idx ON mail_suppressions (created_at DESC);
