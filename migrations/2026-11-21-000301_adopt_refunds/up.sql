-- Lock: ACCESS EXCLUSIVE on refunds and sandbox_movements, both small, for the moment of each change; SHARE on refunds while
-- the index is built. Rollout: before the first server of this version starts. Servers of the version before take no notice
-- of refunds that nobody here asked for, as long as none is adopted.

-- Null: it was made at the gateway itself.
ALTER TABLE refunds ALTER COLUMN refunded_by DROP NOT NULL;
-- A movement at the gateway is one refund here.
CREATE UNIQUE INDEX refunds_gateway_key ON refunds (payment_id, gateway_id);

-- The charge that a refund is of.
ALTER TABLE sandbox_movements ADD COLUMN charge_id text;
ALTER TABLE sandbox_movements DISABLE TRIGGER sandbox_movements_append_only;
UPDATE sandbox_movements SET charge_id = payments.gateway_id
FROM refunds JOIN payments ON payments.id = refunds.payment_id
WHERE sandbox_movements.kind = 2 AND refunds.id = sandbox_movements.subject_id;
ALTER TABLE sandbox_movements ENABLE TRIGGER sandbox_movements_append_only;
CREATE INDEX sandbox_movements_charge_idx ON sandbox_movements (charge_id);
