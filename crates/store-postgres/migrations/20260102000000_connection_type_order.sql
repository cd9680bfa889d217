-- The report orders by connection type as SSL, TLS, none: the empty text of plain connections comes last, not first.

DROP INDEX accounts_by_connection_type;
CREATE INDEX accounts_by_connection_type ON accounts ((connection_type = ''), connection_type, id) WHERE deleted_at IS NULL;
