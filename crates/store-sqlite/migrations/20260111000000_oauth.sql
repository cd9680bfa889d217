-- OAuth 2.0 beside passwords: the settings of a credential whose secret is a client's, its tokens, and a consent under way.

ALTER TABLE credentials ADD COLUMN last_accepted_at INTEGER;

CREATE TABLE oauth (
    credential_id INTEGER PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
    -- As JSON: whatever differs in it makes the tokens void.
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    -- The provider's error code.
    message TEXT,
    tokens BLOB,
    obtained_at INTEGER,
    expires_at INTEGER,
    renew_at INTEGER,
    -- Whoever took the last number may write the outcome of a renewal.
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    consent_hash BLOB,
    consent BLOB,
    consent_until INTEGER
) STRICT;
CREATE INDEX oauth_renew ON oauth (renew_at) WHERE renew_at IS NOT NULL;
CREATE UNIQUE INDEX oauth_consent ON oauth (consent_hash) WHERE consent_hash IS NOT NULL;
