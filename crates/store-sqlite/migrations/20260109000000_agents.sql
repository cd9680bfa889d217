-- Posthorn agents: programs in closed networks that dial out to Posthorn and carry connections there.

CREATE TABLE agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    connector_id INTEGER NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Of the public key, which comes with every connection: nothing else is needed to know it again.
    fingerprint TEXT NOT NULL UNIQUE,
    program_version TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    -- Without it nothing goes by the agent.
    approved_at INTEGER,
    -- No change of the record: its version stays.
    last_seen_at INTEGER
) STRICT;
CREATE INDEX agents_connector ON agents (connector_id);

-- Codes that enrol one agent each: the hash, until it is used or too old.
CREATE TABLE agent_codes (
    hash TEXT PRIMARY KEY,
    connector_id INTEGER NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX agent_codes_connector ON agent_codes (connector_id);

-- Which instance that checks accounts an agent is connected to, as that one says every few seconds.
CREATE TABLE agent_tunnels (
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    instance TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (agent_id, instance)
) STRICT;
