-- Purpose: users sign in with providers.
-- Lock: ACCESS EXCLUSIVE on users for a moment, because it is not rewritten; SHARE ROW EXCLUSIVE on users, because
-- linked_identities refers to it.
-- Rollout: before the first server of this version starts.

-- Whether the user has set a password; false after a registration with a provider, until a reset sets one.
ALTER TABLE users ADD COLUMN has_password boolean NOT NULL DEFAULT true;

-- The people at providers with whom users sign in.
CREATE TABLE linked_identities (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer text NOT NULL CHECK (char_length(issuer) <= 500),
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    -- The address that the provider had at the time of the link; null if it had none.
    email text CHECK (char_length(email) <= 254),
    created_at timestamptz NOT NULL,
    CONSTRAINT linked_identities_issuer_subject_key UNIQUE (issuer, subject)
);
-- Finds the identities of a user.
CREATE INDEX linked_identities_user_id_idx ON linked_identities (user_id);
