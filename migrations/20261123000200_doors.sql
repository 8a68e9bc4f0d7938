-- Ways in: sessions and one-time links. Both hold only a SHA-256 of the secret, so that a copy of this
-- file opens nothing. A link names a person who exists, or carries what is needed to make one.
CREATE TABLE session (
    id_hash    TEXT    PRIMARY KEY CHECK (length(id_hash) = 64),
    person     INTEGER REFERENCES person (id),
    data       TEXT    NOT NULL CHECK (json_valid(data)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_person ON session (person) WHERE person IS NOT NULL;
CREATE INDEX session_by_expiry ON session (expires_at);

CREATE TABLE link (
    token_hash TEXT    PRIMARY KEY CHECK (length(token_hash) = 64),
    kind       TEXT    NOT NULL CHECK (kind IN ('setup', 'invite', 'signin', 'reset')),
    person     INTEGER REFERENCES person (id),
    name       TEXT    NOT NULL DEFAULT '',
    login      TEXT    NOT NULL DEFAULT '' CHECK (login = lower(login)),
    roles      TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(roles)),
    made_by    INTEGER REFERENCES person (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL CHECK (expires_at > created_at),
    used_at    INTEGER,
    CHECK ((kind IN ('signin', 'reset')) = (person IS NOT NULL)),
    CHECK (kind <> 'invite' OR (name <> '' AND login <> ''))
) STRICT, WITHOUT ROWID;

CREATE INDEX link_by_person ON link (person) WHERE person IS NOT NULL;

-- A link that was used stays used.
CREATE TRIGGER link_is_used_once BEFORE UPDATE ON link WHEN OLD.used_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a one-time link that was used cannot change');
END;
