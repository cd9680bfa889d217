-- Everything that the first release keeps. Times are microseconds since 1970 in UTC; names are kept beside their folded form,
-- which is what compares, so that both databases agree on case and accents.

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL
) STRICT;

-- Ids of credentials are drawn before the row is written: the seal is bound to the id.
CREATE TABLE credential_ids (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    drawn INTEGER NOT NULL
) STRICT;

CREATE TABLE credentials (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    search_folded TEXT NOT NULL,
    username TEXT NOT NULL,
    sealed BLOB NOT NULL,
    secret_set_at INTEGER NOT NULL,
    secret_set_by TEXT NOT NULL
) STRICT;

CREATE TABLE connectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    search_folded TEXT NOT NULL,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    credential_id INTEGER REFERENCES credentials (id)
) STRICT;
CREATE INDEX connectors_credential ON connectors (credential_id);

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    keep_copy INTEGER NOT NULL,
    automatic_check INTEGER NOT NULL,
    interval_s INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    protocol TEXT NOT NULL,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    secure_connection INTEGER NOT NULL,
    connection_type TEXT NOT NULL,
    skip_certificate INTEGER NOT NULL,
    connector_id INTEGER REFERENCES connectors (id),
    credential_id INTEGER NOT NULL REFERENCES credentials (id),
    deleted_at INTEGER,
    last_success_at INTEGER,
    next_check_at INTEGER,
    failure_kind TEXT,
    failure_message TEXT,
    failure_since INTEGER,
    n_failures INTEGER NOT NULL DEFAULT 0,
    is_stopped INTEGER NOT NULL DEFAULT 0,
    health_rank INTEGER NOT NULL DEFAULT 1,
    lease_owner TEXT,
    lease_until INTEGER,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;
-- One index a column of the report, each with the id that breaks ties: any page in any order is a walk along an index.
CREATE UNIQUE INDEX accounts_name ON accounts (name_folded) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_id ON accounts (id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_name ON accounts (name_folded, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_secure_connection ON accounts (secure_connection, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_connection_type ON accounts (connection_type, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_protocol ON accounts (protocol, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_port ON accounts (port, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_automatic_check ON accounts (automatic_check, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_keep_copy ON accounts (keep_copy, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_enabled ON accounts (enabled, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_by_health ON accounts (health_rank, id) WHERE deleted_at IS NULL;
CREATE INDEX accounts_due ON accounts (next_check_at) WHERE deleted_at IS NULL AND next_check_at IS NOT NULL;
CREATE INDEX accounts_deleted ON accounts (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX accounts_credential ON accounts (credential_id);
CREATE INDEX accounts_connector ON accounts (connector_id);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    subject TEXT NOT NULL,
    sender TEXT NOT NULL,
    sent_at INTEGER,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    n_attachments INTEGER NOT NULL,
    message_id_field TEXT NOT NULL,
    is_unreadable INTEGER NOT NULL,
    search_folded TEXT NOT NULL
) STRICT;
CREATE INDEX messages_newest ON messages (account_id, received_at, id);

-- Apart from the index, so that a list does not read past the bodies. Compressed with Zstandard.
CREATE TABLE bodies (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id),
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE reads (
    user_id INTEGER NOT NULL REFERENCES users (id),
    message_id INTEGER NOT NULL REFERENCES messages (id),
    at INTEGER NOT NULL,
    PRIMARY KEY (user_id, message_id)
) STRICT;

-- The ledger: one row for each message that was ever seen on a server. Rows without a message are the work to do.
CREATE TABLE remotes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    uid_validity INTEGER,
    uid INTEGER,
    uidl TEXT,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    n_attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    listed_at INTEGER NOT NULL,
    message_id INTEGER REFERENCES messages (id),
    delete_wanted_at INTEGER,
    deleted_at INTEGER,
    UNIQUE (account_id, uid_validity, uid),
    UNIQUE (account_id, uidl)
) STRICT;

CREATE TABLE check_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT NOT NULL,
    new_messages INTEGER NOT NULL DEFAULT 0,
    deleted_messages INTEGER NOT NULL DEFAULT 0,
    stages TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error_message TEXT
) STRICT;
CREATE INDEX check_runs_newest ON check_runs (account_id, id);
CREATE INDEX check_runs_running ON check_runs (account_id) WHERE finished_at IS NULL;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_folded TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_folded TEXT NOT NULL,
    before TEXT,
    after TEXT
) STRICT;
CREATE INDEX audit_by_action ON audit (action, id);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
