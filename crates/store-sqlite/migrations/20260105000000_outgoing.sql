-- Outgoing mail and scheduled reports.

CREATE TABLE smtp_accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    search_folded TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    sender TEXT NOT NULL,
    reply_to TEXT,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    secure_connection INTEGER NOT NULL,
    connection_type TEXT NOT NULL,
    skip_certificate INTEGER NOT NULL,
    connector_id INTEGER REFERENCES connectors (id),
    credential_id INTEGER REFERENCES credentials (id)
) STRICT;
CREATE UNIQUE INDEX smtp_default ON smtp_accounts (is_default) WHERE is_default;
CREATE INDEX smtp_connector ON smtp_accounts (connector_id);
CREATE INDEX smtp_credential ON smtp_accounts (credential_id);

-- Filter and sort as in the report's URL; timing, formats and recipients as JSON.
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    query TEXT NOT NULL,
    timing TEXT NOT NULL,
    formats TEXT NOT NULL,
    recipients TEXT NOT NULL,
    language TEXT NOT NULL,
    only_when_changed INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    next_run_at INTEGER
) STRICT;
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

CREATE TABLE report_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome TEXT NOT NULL,
    asked_by TEXT,
    query TEXT,
    n_rows INTEGER,
    n_changes INTEGER,
    detail TEXT NOT NULL DEFAULT '',
    snapshot BLOB,
    next_step_at INTEGER,
    lease_owner TEXT,
    lease_until INTEGER,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;
-- A due time has one run, however many instances see it come.
CREATE UNIQUE INDEX report_runs_due ON report_runs (schedule_id, due_at) WHERE asked_by IS NULL;
CREATE INDEX report_runs_newest ON report_runs (schedule_id, id);
CREATE INDEX report_runs_open ON report_runs (next_step_at) WHERE finished_at IS NULL;

CREATE TABLE report_files (
    run_id INTEGER NOT NULL REFERENCES report_runs (id) ON DELETE CASCADE,
    format TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (run_id, format)
) STRICT;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES report_runs (id) ON DELETE CASCADE,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    state TEXT NOT NULL,
    n_attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    at INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX deliveries_run ON deliveries (run_id);
