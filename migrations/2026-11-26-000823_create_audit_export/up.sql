-- Purpose: how far the audit log was sent to the receiver that the configuration names.
-- Lock: none that matters; the table is new.
-- Rollout: before the first server of this version starts.
CREATE TABLE audit_export (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- The last link of the chain that the receiver has taken, and its number.
    link_id uuid NOT NULL,
    number bigint NOT NULL,
    -- When it was taken.
    sent_at timestamptz
);
INSERT INTO audit_export (link_id, number) VALUES ('00000000-0000-0000-0000-000000000000', 0);

-- As audit_links and audit_chain: no caller of an account moves the position.
REVOKE ALL ON audit_export FROM mainstay_account;
