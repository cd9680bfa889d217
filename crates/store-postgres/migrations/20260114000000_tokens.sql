-- Device codes (RFC 8628) that somebody is to enter elsewhere, and what is known of the end of tokens, consents and secrets.

CREATE TABLE device_flows (
    -- One a credential: the next takes the place of the last.
    credential_id BIGINT PRIMARY KEY REFERENCES oauth (credential_id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    -- The provider's error code.
    message TEXT,
    -- Both codes and the addresses; only while it is pending.
    sealed BYTEA,
    started_by TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    interval_s BIGINT NOT NULL,
    poll_at BIGINT NOT NULL,
    -- Whoever took the last number may write what came of a question. It only grows, from flow to flow.
    fence BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT
);
CREATE INDEX device_flows_due ON device_flows (poll_at) WHERE state = 'pending';

-- Of the refresh token, where the provider says it.
ALTER TABLE oauth ADD COLUMN consent_ends_at BIGINT;
CREATE INDEX oauth_consent_ends ON oauth (consent_ends_at) WHERE consent_ends_at IS NOT NULL;
CREATE INDEX oauth_needs_person ON oauth (state) WHERE state = 'needs_person';
-- Days since 1970-01-01; by what people know of the place where the secret was given.
ALTER TABLE credentials ADD COLUMN secret_ends_on BIGINT;
CREATE INDEX credentials_secret_ends ON credentials ((secret_ends_on * 86400000000)) WHERE secret_ends_on IS NOT NULL;


-- The posture with what ends of credentials: refused tokens first, then by the time. Rows lead to the page of their kind.
DROP VIEW posture;
CREATE VIEW posture AS
SELECT 'plain' AS list, 'account' AS kind, id, name, name_folded, address || ':' || port AS detail,
    NULL::BIGINT AS at, NULL::BIGINT AS n, 0::BIGINT AS rank
FROM accounts WHERE deleted_at IS NULL AND secure_connection = FALSE
UNION ALL
SELECT 'plain', 'smtp', id, name, name_folded, address || ':' || port, NULL, NULL, 0::BIGINT
FROM smtp_accounts WHERE NOT secure_connection
UNION ALL
SELECT 'skipped', 'account', id, name, name_folded, skip_reason, skip_until * 86400000000, NULL,
    COALESCE(skip_until * 86400000000, 0)
FROM accounts WHERE deleted_at IS NULL AND secure_connection AND skip_certificate = TRUE
UNION ALL
SELECT 'skipped', 'smtp', id, name, name_folded, skip_reason, skip_until * 86400000000, NULL,
    COALESCE(skip_until * 86400000000, 0)
FROM smtp_accounts WHERE secure_connection AND skip_certificate
UNION ALL
SELECT 'pinned', 'account', id, name, name_folded, pin, NULL, NULL, 0::BIGINT
FROM accounts WHERE deleted_at IS NULL AND secure_connection AND pin > ''
UNION ALL
SELECT 'pinned', 'smtp', id, name, name_folded, pin, NULL, NULL, 0::BIGINT
FROM smtp_accounts WHERE secure_connection AND pin IS NOT NULL
UNION ALL
SELECT 'certificates', 'account', id, name, name_folded, tls_seen.issuer, tls_seen.not_after, NULL, tls_seen.not_after
FROM tls_seen JOIN accounts ON accounts.id = tls_seen.account_id AND accounts.epoch = tls_seen.epoch
WHERE tls_seen.not_after IS NOT NULL AND accounts.deleted_at IS NULL AND accounts.secure_connection
UNION ALL
SELECT 'authorities', 'authority', id, name, name_folded, subject, expires_at, NULL, expires_at FROM authorities
UNION ALL
SELECT 'weak_tls', 'account', id, name, name_folded, tls_seen.version || ' ' || tls_seen.suite, NULL, NULL, 0::BIGINT
FROM tls_seen JOIN accounts ON accounts.id = tls_seen.account_id AND accounts.epoch = tls_seen.epoch
WHERE tls_seen.is_weak = TRUE AND accounts.deleted_at IS NULL AND accounts.secure_connection
UNION ALL
SELECT 'weak_tls', 'account', id, name, name_folded, COALESCE(failure_message, ''), failure_since, NULL, failure_since
FROM accounts WHERE deleted_at IS NULL AND failure_kind = 'tls'
UNION ALL
SELECT 'shared',
    CASE WHEN EXISTS (SELECT 1 FROM oauth WHERE credential_id = credentials.id) THEN 'oauth' ELSE 'credential' END, id,
    name, name_folded, username, NULL, uses.n, -uses.n
FROM (SELECT credential_id, COUNT(*) AS n FROM accounts WHERE deleted_at IS NULL GROUP BY credential_id) AS uses
JOIN credentials ON credentials.id = uses.credential_id
UNION ALL
SELECT 'silent', 'account', id, name, name_folded, address || ':' || port, last_success_at, NULL,
    COALESCE(last_success_at, 0)
FROM accounts WHERE deleted_at IS NULL AND enabled AND (health_rank > 0 OR NOT automatic_check)
UNION ALL
SELECT 'secrets', 'oauth', id, name, name_folded, 'refused ' || COALESCE(oauth.message, ''), NULL, NULL, 0::BIGINT
FROM oauth JOIN credentials ON credentials.id = oauth.credential_id
WHERE oauth.state = 'needs_person'
UNION ALL
SELECT 'secrets', 'oauth', id, name, name_folded, 'consent', oauth.consent_ends_at, NULL, oauth.consent_ends_at
FROM oauth JOIN credentials ON credentials.id = oauth.credential_id
WHERE oauth.consent_ends_at IS NOT NULL AND oauth.state = 'ok'
UNION ALL
SELECT 'secrets',
    CASE WHEN EXISTS (SELECT 1 FROM oauth WHERE credential_id = credentials.id) THEN 'oauth' ELSE 'credential' END, id,
    name, name_folded, 'secret', secret_ends_on * 86400000000, NULL, secret_ends_on * 86400000000
FROM credentials WHERE secret_ends_on IS NOT NULL;
