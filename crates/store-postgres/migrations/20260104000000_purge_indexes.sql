-- An account that is removed for good takes its messages along: what refers to a message is found without reading everything.

CREATE INDEX remotes_message ON remotes (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX reads_message ON reads (message_id);
