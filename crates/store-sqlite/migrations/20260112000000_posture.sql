-- How safely accounts are set up: what was last seen of each server's TLS, and every list of the security posture in one view.

CREATE TABLE tls_seen (
    account_id INTEGER NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    -- Of another mailbox than the account's present one, it says nothing any more.
    epoch INTEGER NOT NULL,
    version TEXT NOT NULL,
    suite TEXT NOT NULL,
    is_weak INTEGER NOT NULL,
    not_after INTEGER,
    issuer TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tls_seen_not_after ON tls_seen (not_after) WHERE not_after IS NOT NULL;
CREATE INDEX tls_seen_weak ON tls_seen (is_weak) WHERE is_weak = TRUE;

-- Which of what was seen is written down: a check that sees the same writes nothing.
ALTER TABLE accounts ADD COLUMN tls_mark INTEGER;

-- The master keys that an instance holds, by their ids: it must know a new one before anything is sealed with it.
ALTER TABLE instances ADD COLUMN key_ids TEXT NOT NULL DEFAULT '';

-- The conditions are written as comparisons because that is how SQLite finds its way to an index.
CREATE INDEX accounts_skipping ON accounts (skip_certificate) WHERE deleted_at IS NULL AND skip_certificate = TRUE;
CREATE INDEX accounts_pinned ON accounts (pin) WHERE deleted_at IS NULL AND pin > '';
CREATE INDEX accounts_failing_tls ON accounts (failure_since) WHERE deleted_at IS NULL AND failure_kind = 'tls';
CREATE INDEX accounts_sharing ON accounts (credential_id, deleted_at) WHERE deleted_at IS NULL;
-- Who is well and checked by itself was heard of lately: so a check that goes well as ever changes nothing here.
CREATE INDEX accounts_silent ON accounts (COALESCE(last_success_at, 0))
    WHERE deleted_at IS NULL AND enabled AND (health_rank > 0 OR NOT automatic_check);

-- A list is in the order of its ranks; those of certificates, authorities, silent accounts and shared credentials are bounded.
CREATE VIEW posture AS
SELECT 'plain' AS list, 'account' AS kind, id, name, name_folded, address || ':' || port AS detail, NULL AS at, NULL AS n,
    0 AS rank
FROM accounts WHERE deleted_at IS NULL AND secure_connection = FALSE
UNION ALL
SELECT 'plain', 'smtp', id, name, name_folded, address || ':' || port, NULL, NULL, 0
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
SELECT 'pinned', 'account', id, name, name_folded, pin, NULL, NULL, 0
FROM accounts WHERE deleted_at IS NULL AND secure_connection AND pin > ''
UNION ALL
SELECT 'pinned', 'smtp', id, name, name_folded, pin, NULL, NULL, 0
FROM smtp_accounts WHERE secure_connection AND pin IS NOT NULL
UNION ALL
SELECT 'certificates', 'account', id, name, name_folded, tls_seen.issuer, tls_seen.not_after, NULL, tls_seen.not_after
FROM tls_seen JOIN accounts ON accounts.id = tls_seen.account_id AND accounts.epoch = tls_seen.epoch
WHERE tls_seen.not_after IS NOT NULL AND accounts.deleted_at IS NULL AND accounts.secure_connection
UNION ALL
SELECT 'authorities', 'authority', id, name, name_folded, subject, expires_at, NULL, expires_at FROM authorities
UNION ALL
SELECT 'weak_tls', 'account', id, name, name_folded, tls_seen.version || ' ' || tls_seen.suite, NULL, NULL, 0
FROM tls_seen JOIN accounts ON accounts.id = tls_seen.account_id AND accounts.epoch = tls_seen.epoch
WHERE tls_seen.is_weak = TRUE AND accounts.deleted_at IS NULL AND accounts.secure_connection
UNION ALL
SELECT 'weak_tls', 'account', id, name, name_folded, COALESCE(failure_message, ''), failure_since, NULL, failure_since
FROM accounts WHERE deleted_at IS NULL AND failure_kind = 'tls'
UNION ALL
SELECT 'shared', 'credential', id, name, name_folded, username, NULL, uses.n, -uses.n
FROM (SELECT credential_id, COUNT(*) AS n FROM accounts WHERE deleted_at IS NULL GROUP BY credential_id) AS uses
JOIN credentials ON credentials.id = uses.credential_id
UNION ALL
SELECT 'silent', 'account', id, name, name_folded, address || ':' || port, last_success_at, NULL,
    COALESCE(last_success_at, 0)
FROM accounts WHERE deleted_at IS NULL AND enabled AND (health_rank > 0 OR NOT automatic_check);
