-- SSH jump hosts, and how each connector did lately.

-- The fingerprint of the key that somebody has approved for an SSH server; without it nothing is sent there.
ALTER TABLE connectors ADD COLUMN host_key TEXT;
-- Written at most once a minute, and no change of the record: its version stays.
ALTER TABLE connectors ADD COLUMN last_ok_at BIGINT;
ALTER TABLE connectors ADD COLUMN last_error_at BIGINT;
ALTER TABLE connectors ADD COLUMN last_error TEXT;
