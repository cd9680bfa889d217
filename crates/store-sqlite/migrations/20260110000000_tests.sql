-- Results of tests of connections: the next one is compared with the last good one of its way.

CREATE TABLE connection_tests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    -- The connector that was gone by, 0 directly. No reference: what was seen outlives it.
    connector_id INTEGER NOT NULL,
    is_good INTEGER NOT NULL,
    -- Whether the account was stored like this, and whether the test signed in.
    is_saved INTEGER NOT NULL,
    signed_in INTEGER NOT NULL,
    -- Steps, evidence, end and differences as JSON; no secret is among them.
    test TEXT NOT NULL
) STRICT;
CREATE INDEX connection_tests_newest ON connection_tests (account_id, id DESC);
