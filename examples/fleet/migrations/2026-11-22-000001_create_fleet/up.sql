-- Purpose: vehicles and their leases.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because leases refers to it; all tables are new.
-- Rollout: before the first server with this module starts.

-- The schema is the module's own and comes first in the search path; it exists when this runs.
-- status: the numbers of fleet.v1.VehicleStatus: 1 available, 2 leased, 3 recharging.
CREATE TABLE vehicles (
    id uuid PRIMARY KEY,
    plate text NOT NULL CHECK (char_length(plate) BETWEEN 1 AND 20),
    model text NOT NULL CHECK (char_length(model) BETWEEN 1 AND 100),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 3),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX vehicles_plate_key ON vehicles (plate);
CREATE INDEX vehicles_created_at_idx ON vehicles (created_at DESC, id DESC);
CREATE INDEX vehicles_status_idx ON vehicles (status, created_at DESC, id DESC);

CREATE TABLE leases (
    id uuid PRIMARY KEY,
    vehicle_id uuid NOT NULL REFERENCES vehicles (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- No reference: the order belongs to another module, which may remove it.
    order_id uuid,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- The open-lease rule, whatever the program does.
CREATE UNIQUE INDEX leases_open_key ON leases (vehicle_id) WHERE ended_at IS NULL;
-- An event is handled at least once; an order comes with one lease.
CREATE UNIQUE INDEX leases_order_key ON leases (order_id);
CREATE INDEX leases_vehicle_idx ON leases (vehicle_id);
CREATE INDEX leases_created_at_idx ON leases (created_at DESC, id DESC);
CREATE INDEX leases_account_idx ON leases (account_id, created_at DESC, id DESC);
CREATE INDEX leases_expires_at_idx ON leases (expires_at) WHERE ended_at IS NULL;
-- Callers of an account reach its rows only.
SELECT isolate_rows('leases');
