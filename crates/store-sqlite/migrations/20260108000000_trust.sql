-- Whom an account trusts to say who its server is: the system's roots, an authority of one's own, one key, or anybody for a while.

CREATE TABLE authorities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    search_folded TEXT NOT NULL,
    pem TEXT NOT NULL,
    -- What the certificates say, read when they were registered.
    subject TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    n_certificates INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- The pin as it is shown; the last day of skipping as days since 1970-01-01.
ALTER TABLE accounts ADD COLUMN authority_id INTEGER REFERENCES authorities (id);
ALTER TABLE accounts ADD COLUMN pin TEXT;
ALTER TABLE accounts ADD COLUMN skip_until INTEGER;
ALTER TABLE accounts ADD COLUMN skip_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX accounts_authority ON accounts (authority_id) WHERE authority_id IS NOT NULL;
ALTER TABLE smtp_accounts ADD COLUMN authority_id INTEGER REFERENCES authorities (id);
ALTER TABLE smtp_accounts ADD COLUMN pin TEXT;
ALTER TABLE smtp_accounts ADD COLUMN skip_until INTEGER;
ALTER TABLE smtp_accounts ADD COLUMN skip_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX smtp_authority ON smtp_accounts (authority_id) WHERE authority_id IS NOT NULL;
