-- One row for each execution. The log is a file beside the database; this row says who, what, when, and how
-- it ended. A run ends once: what it was and how it ended do not change afterwards.
CREATE TABLE run (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT    NOT NULL CHECK (kind IN ('step', 'check', 'deploy', 'rollback', 'drill')),
    subject         TEXT    NOT NULL CHECK (subject <> ''),
    gate            TEXT,
    title           TEXT    NOT NULL,
    release         INTEGER REFERENCES release (id),
    by              INTEGER NOT NULL REFERENCES person (id),
    by_name         TEXT    NOT NULL,
    started_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    state           TEXT    NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'ended', 'interrupted')),
    outcome         TEXT CHECK (outcome IN ('passed', 'failed', 'inconclusive', 'cancelled')),
    exit            TEXT CHECK (json_valid(exit)),
    result          TEXT CHECK (json_valid(result)),
    idempotency_key TEXT UNIQUE,
    CHECK ((state = 'running') = (ended_at IS NULL)),
    CHECK ((state = 'ended') = (outcome IS NOT NULL))
) STRICT;

CREATE INDEX run_by_subject ON run (kind, subject, id);
CREATE INDEX run_by_gate ON run (gate, id) WHERE gate IS NOT NULL;
CREATE INDEX run_by_release ON run (release, id) WHERE release IS NOT NULL;
CREATE INDEX run_going_on ON run (id) WHERE state = 'running';

CREATE TRIGGER run_ends_once BEFORE UPDATE ON run WHEN OLD.state <> 'running'
BEGIN
    SELECT RAISE(ABORT, 'a run that ended cannot change');
END;
CREATE TRIGGER run_keeps_its_beginning
BEFORE UPDATE OF id, kind, subject, gate, title, release, by, by_name, started_at, idempotency_key ON run
BEGIN
    SELECT RAISE(ABORT, 'what a run is about cannot change');
END;
CREATE TRIGGER run_stays BEFORE DELETE ON run
BEGIN
    SELECT RAISE(ABORT, 'a run is never deleted');
END;
