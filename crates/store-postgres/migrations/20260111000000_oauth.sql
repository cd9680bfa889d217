-- OAuth 2.0 beside passwords: the settings of a credential whose secret is a client's, its tokens, and a consent under way.

ALTER TABLE credentials ADD COLUMN last_accepted_at BIGINT;

CREATE TABLE oauth (
    credential_id BIGINT PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
    -- As JSON: whatever differs in it makes the tokens void.
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    -- The provider's error code.
    message TEXT,
    tokens BYTEA,
    obtained_at BIGINT,
    expires_at BIGINT,
    renew_at BIGINT,
    -- Whoever took the last number may write the outcome of a renewal.
    fence BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT,
    consent_hash BYTEA,
    consent BYTEA,
    consent_until BIGINT
);
CREATE INDEX oauth_renew ON oauth (renew_at) WHERE renew_at IS NOT NULL;
CREATE UNIQUE INDEX oauth_consent ON oauth (consent_hash) WHERE consent_hash IS NOT NULL;
