-- Tests of connections as they go and shortly afterwards: whichever instance is asked can show one, and stop it.

CREATE TABLE test_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- A random name that nobody guesses, in hexadecimal. Runs that were begun together have the same batch.
    run TEXT NOT NULL UNIQUE,
    batch TEXT NOT NULL,
    account_id INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    -- What was typed, as JSON, if it is not what is saved; no secret is among it.
    form TEXT,
    -- Steps, evidence and end as JSON; no secret is among them.
    test TEXT NOT NULL,
    -- Somebody wants it to end.
    is_cancelled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX test_runs_newest ON test_runs (account_id, id DESC);
CREATE INDEX test_runs_age ON test_runs (started_at);
