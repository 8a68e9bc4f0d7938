-- The audit log: every act before it is done and after, every refusal. Each row carries the hash of the row
-- before it. The triggers stop mistakes, the chain shows what got past the triggers; AUTOINCREMENT
-- remembers how many rows there were, so that a cut tail shows too. The rows' hashes can become the leaves of a tree.
CREATE TABLE audit_event (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    actor      INTEGER,
    actor_name TEXT    NOT NULL,
    act        TEXT    NOT NULL CHECK (act <> ''),
    subject    TEXT    NOT NULL,
    release    INTEGER,
    run        INTEGER,
    intent     INTEGER,
    outcome    TEXT    NOT NULL CHECK (outcome IN ('intent', 'done', 'refused', 'failed')),
    detail     TEXT    NOT NULL,
    prev_hash  TEXT    NOT NULL CHECK (length(prev_hash) = 64),
    hash       TEXT    NOT NULL UNIQUE CHECK (length(hash) = 64)
) STRICT;

CREATE INDEX audit_event_by_actor ON audit_event (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_event_by_release ON audit_event (release, seq) WHERE release IS NOT NULL;
CREATE INDEX audit_event_by_act ON audit_event (act, seq);
-- An intent has one outcome.
CREATE UNIQUE INDEX audit_event_by_intent ON audit_event (intent) WHERE intent IS NOT NULL;

CREATE TRIGGER audit_event_keeps BEFORE UPDATE ON audit_event
BEGIN
    SELECT RAISE(ABORT, 'audit_event is append-only');
END;
CREATE TRIGGER audit_event_stays BEFORE DELETE ON audit_event
BEGIN
    SELECT RAISE(ABORT, 'audit_event is append-only');
END;
CREATE TRIGGER audit_event_has_no_gaps AFTER INSERT ON audit_event
WHEN NEW.seq > 1 AND NEW.prev_hash IS NOT (SELECT hash FROM audit_event WHERE seq = NEW.seq - 1)
BEGIN
    SELECT RAISE(ABORT, 'audit_event must follow the last row');
END;
