-- Purpose: existing service keys keep what they may do. Charges for an account, refunds, exports and the deletion of
-- tickets have scopes of their own, and were part of payments.write, support.tickets.read and support.tickets.write.
-- Lock: ROW EXCLUSIVE on service_keys, with the rows of these keys.
-- Rollout: before the first server of this version starts. The version before ignores scopes that it does not know.
-- A key has at most 50 scopes; one that has too many to add the new ones is left as it is.
UPDATE service_keys SET scopes = scopes || ARRAY['payments.payments.charge_any', 'payments.refunds.create']
WHERE 'payments.write' = ANY (scopes) AND cardinality(scopes) <= 48;
UPDATE service_keys SET scopes = scopes || ARRAY['support.tickets.export']
WHERE 'support.tickets.read' = ANY (scopes) AND cardinality(scopes) <= 49;
UPDATE service_keys SET scopes = scopes || ARRAY['support.tickets.delete']
WHERE 'support.tickets.write' = ANY (scopes) AND cardinality(scopes) <= 49;
