-- Lock: SHARE on idempotency_keys while the index is built, which holds writers up for as long as a scan of it takes.
-- Rollout: at any time.

-- Answers are kept for a day and keys for thirty: what still has one is found without a look at the others.
CREATE INDEX idempotency_keys_answered_idx ON idempotency_keys (created_at) WHERE answer IS NOT NULL;
