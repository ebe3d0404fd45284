-- Purpose: a sign-in on a device that the user has remembered needs no second factor.
-- Lock: SHARE ROW EXCLUSIVE on users for a moment, because remembered_devices refers to it.
-- Rollout: before the first server of this version starts. The version before asks for the second factor on each device.

CREATE TABLE remembered_devices (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the 128 random bits in the token of the device.
    device_hash bytea NOT NULL UNIQUE CHECK (octet_length(device_hash) = 32),
    -- The epoch of the user: the device is forgotten when all sessions end.
    session_epoch integer NOT NULL,
    -- As in sessions.
    user_agent text NOT NULL CHECK (char_length(user_agent) <= 200),
    ip_address text NOT NULL CHECK (char_length(ip_address) <= 45),
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    expires_at timestamptz NOT NULL
);
-- Finds the devices of a user.
CREATE INDEX remembered_devices_user_id_idx ON remembered_devices (user_id);
-- Finds the devices that have expired.
CREATE INDEX remembered_devices_expires_at_idx ON remembered_devices (expires_at);
