-- A ledger that can say what became of every message, and a watch over the checks.

-- Which mailbox an account's names belong to (another address, protocol or user is another one), what it looked like when
-- nothing was left to do in it, when the account counts as late, and whose refusal stopped it.
ALTER TABLE accounts ADD COLUMN hold_days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN push INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN mailbox_messages INTEGER;
ALTER TABLE accounts ADD COLUMN mailbox_uid_validity INTEGER;
ALTER TABLE accounts ADD COLUMN mailbox_uid_next INTEGER;
ALTER TABLE accounts ADD COLUMN late_at INTEGER;
ALTER TABLE accounts ADD COLUMN is_late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN stopped_by INTEGER;
ALTER TABLE accounts ADD COLUMN asked_at INTEGER;
CREATE INDEX accounts_asked ON accounts (asked_at) WHERE asked_at IS NOT NULL;
CREATE INDEX accounts_late_at ON accounts (late_at) WHERE late_at IS NOT NULL AND NOT is_late;
CREATE INDEX accounts_stopped_by ON accounts (credential_id) WHERE stopped_by IS NOT NULL;
CREATE INDEX accounts_leased ON accounts (lease_owner) WHERE lease_owner IS NOT NULL;
-- Between "never checked" and "failing" there is "late" now.
UPDATE accounts SET health_rank = health_rank + 1 WHERE health_rank >= 2;
UPDATE accounts SET late_at = COALESCE(last_success_at, next_check_at) + 2 * interval_s * 1000000 + 60000000
WHERE enabled AND automatic_check AND deleted_at IS NULL;

-- BLAKE3 of the bytes: what is found again under another name is the same message.
ALTER TABLE messages ADD COLUMN content_hash BLOB;
CREATE INDEX messages_content ON messages (account_id, content_hash);

-- The uniqueness of a name within its mailbox cannot be altered in place. A name that the server did not give begins with a space.
CREATE TABLE remotes_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    epoch INTEGER NOT NULL DEFAULT 0,
    uid_validity INTEGER,
    uid INTEGER,
    uidl TEXT,
    state TEXT NOT NULL,
    size INTEGER NOT NULL,
    n_attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    sample BLOB,
    listed_at INTEGER NOT NULL,
    failed_at INTEGER,
    message_id INTEGER REFERENCES messages (id),
    -- Not in the listing; while it is not settled, the message may have got another name.
    missing_at INTEGER,
    may_be_renamed INTEGER NOT NULL DEFAULT 0,
    delete_wanted_at INTEGER,
    delete_asked_at INTEGER,
    deleted_at INTEGER,
    deletion_proof TEXT,
    deleted_by INTEGER,
    staged INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account_id, epoch, uid_validity, uid),
    UNIQUE (account_id, epoch, uidl)
) STRICT;
INSERT INTO remotes_new (id, account_id, uid_validity, uid, uidl, state, size, n_attempts, reason, listed_at, message_id,
    delete_wanted_at, deleted_at, deletion_proof)
SELECT id, account_id, uid_validity, uid, uidl, state, size, n_attempts, reason, listed_at, message_id,
    delete_wanted_at, deleted_at, CASE WHEN state = 'deleted' THEN 'confirmed' END
FROM remotes;
DROP TABLE remotes;
ALTER TABLE remotes_new RENAME TO remotes;
CREATE INDEX remotes_message ON remotes (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX remotes_trouble ON remotes (account_id, id) WHERE state IN ('quarantined', 'too_large') OR (state = 'listed' AND n_attempts > 0);
CREATE INDEX remotes_work ON remotes (account_id, epoch) WHERE state = 'listed';
CREATE INDEX remotes_to_delete ON remotes (account_id, epoch) WHERE state = 'stored' AND delete_wanted_at IS NOT NULL;
CREATE INDEX remotes_deleted ON remotes (account_id, deleted_at) WHERE state = 'deleted';
CREATE INDEX remotes_renamable ON remotes (account_id) WHERE may_be_renamed;
CREATE INDEX remotes_quarantined ON remotes (state) WHERE state = 'quarantined';

-- The parts of large messages, staged until the last has arrived; then the message has them. Compressed with Zstandard.
CREATE TABLE parts (
    remote_id INTEGER NOT NULL REFERENCES remotes (id),
    nth INTEGER NOT NULL,
    message_id INTEGER REFERENCES messages (id),
    raw BLOB NOT NULL,
    PRIMARY KEY (remote_id, nth)
) STRICT;
CREATE INDEX parts_message ON parts (message_id, nth) WHERE message_id IS NOT NULL;

ALTER TABLE check_runs ADD COLUMN due_at INTEGER;
CREATE INDEX check_runs_finished ON check_runs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE transcripts (
    run_id INTEGER PRIMARY KEY REFERENCES check_runs (id) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE instances (
    id TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    host TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;

CREATE TABLE incidents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cause_key TEXT NOT NULL,
    cause TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    noticed_at INTEGER,
    over_at INTEGER,
    over_noticed_at INTEGER,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
-- A cause is raised once, however many instances see it.
CREATE UNIQUE INDEX incidents_open ON incidents (cause_key) WHERE over_at IS NULL;
CREATE INDEX incidents_over ON incidents (over_at) WHERE over_at IS NOT NULL;
