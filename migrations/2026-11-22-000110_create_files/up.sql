-- Purpose: files, what they are attached to, the space that accounts use, and the objects in the storage.
-- Lock: SHARE ROW EXCLUSIVE on accounts for a moment, because files refers to it. All tables are new.
-- Rollout: before the first server starts.

-- Enum columns carry the numbers of mainstay.files.v1. purpose: 1 attachment, 2 image. status: 1 pending, 2 ready.
CREATE TABLE files (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    -- The user or service key that uploaded the file.
    owner_id uuid NOT NULL,
    purpose smallint NOT NULL CHECK (purpose BETWEEN 1 AND 2),
    status smallint NOT NULL CHECK (status BETWEEN 1 AND 2),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    content_type text NOT NULL CHECK (char_length(content_type) BETWEEN 3 AND 127),
    size_bytes bigint NOT NULL CHECK (size_bytes > 0),
    -- Of the content; while the file is pending, as announced.
    sha256 bytea CHECK (octet_length(sha256) = 32),
    -- Where the content is.
    object_key text,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When the file is deleted: a pending one unless it is completed before, a ready one unless something refers to it.
    expires_at timestamptz,
    CONSTRAINT files_object_check CHECK (
        CASE status
            WHEN 1 THEN expires_at IS NOT NULL AND object_key IS NULL
            ELSE object_key IS NOT NULL AND sha256 IS NOT NULL
        END
    )
);
-- The lists: of an account, and of all.
CREATE INDEX files_account_idx ON files (account_id, created_at DESC, id DESC) WHERE status = 2;
CREATE INDEX files_created_at_idx ON files (created_at DESC, id DESC) WHERE status = 2;
-- Finds the files to delete.
CREATE INDEX files_expires_at_idx ON files (expires_at) WHERE expires_at IS NOT NULL;
-- What an account has, pending files too, when it is to be removed.
CREATE INDEX files_account_id_idx ON files (account_id);

-- What refers to a file, and so keeps it and lets others reach it.
CREATE TABLE file_links (
    file_id uuid NOT NULL REFERENCES files (id),
    -- A ticket, a comment or a post.
    parent_id uuid NOT NULL,
    -- The account that reaches the parent, if it belongs to one.
    account_id uuid,
    -- Whether anyone reaches the parent.
    is_public boolean NOT NULL,
    PRIMARY KEY (file_id, parent_id)
);
CREATE INDEX file_links_parent_idx ON file_links (parent_id);

-- The space that the files of each account take, pending ones included, and what was uploaded for removed ones and is
-- not deleted yet. One row, so that concurrent uploads can't take more than there is.
CREATE TABLE file_usage (
    account_id uuid PRIMARY KEY REFERENCES accounts (id),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0)
);

-- Every object in the storage. A row commits before its object is written, with the time from which the object is an
-- orphan; the transaction that first refers to the object clears that time. So whatever a crash leaves behind is found
-- without listing the storage.
CREATE TABLE stored_objects (
    key text PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 200),
    -- When the object is to be deleted; null while it is needed.
    delete_at timestamptz,
    -- Whether its deletion has begun: from then on nothing may refer to it.
    is_deleting boolean NOT NULL DEFAULT false,
    -- The space of a removed file that is given back once the object is deleted, and whose it is.
    account_id uuid,
    size_bytes bigint CHECK (size_bytes > 0),
    CONSTRAINT stored_objects_deleting_check CHECK (NOT is_deleting OR delete_at IS NOT NULL),
    CONSTRAINT stored_objects_space_check CHECK ((account_id IS NULL) = (size_bytes IS NULL))
);
CREATE INDEX stored_objects_delete_at_idx ON stored_objects (delete_at) WHERE delete_at IS NOT NULL;
