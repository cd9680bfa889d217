-- Counts the changes that a check depends on. A check that began under an older setup does not decide the account's health:
-- the failure of a password that was replaced meanwhile says nothing about the new one.

ALTER TABLE accounts ADD COLUMN setup BIGINT NOT NULL DEFAULT 0;
