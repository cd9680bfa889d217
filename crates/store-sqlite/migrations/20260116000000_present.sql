-- What a listing is compared with: a mailbox whose messages are deleted once they are stored has far more rows than messages.
CREATE INDEX remotes_present ON remotes (account_id, epoch) WHERE missing_at IS NULL AND state NOT IN ('deleted', 'renamed');
