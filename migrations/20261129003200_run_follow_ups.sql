-- What has to follow a run: stored in the transaction that ends the run, carried out from here. A server that dies in
-- between carries it out after its next start; what could not be done says why.
CREATE TABLE run_follow_up (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run        INTEGER NOT NULL REFERENCES run (id),
    kind       TEXT    NOT NULL CHECK (kind <> ''),
    state      TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'not_done')),
    because    TEXT    NOT NULL DEFAULT '',
    started    INTEGER REFERENCES run (id),
    attempts   INTEGER NOT NULL DEFAULT 0,
    made_at    INTEGER NOT NULL,
    tried_at   INTEGER,
    settled_at INTEGER,
    UNIQUE (run, kind),
    CHECK ((state = 'done') = (started IS NOT NULL)),
    CHECK ((state = 'pending') = (settled_at IS NULL)),
    CHECK (state <> 'not_done' OR because <> '')
) STRICT;
CREATE INDEX run_follow_up_pending ON run_follow_up (id) WHERE state = 'pending';
CREATE INDEX run_follow_up_started ON run_follow_up (started) WHERE started IS NOT NULL;

CREATE TRIGGER run_follow_up_keeps_its_run BEFORE UPDATE OF id, run, kind, made_at ON run_follow_up
BEGIN
    SELECT RAISE(ABORT, 'what a follow-up is about cannot change');
END;
CREATE TRIGGER run_follow_up_stays BEFORE DELETE ON run_follow_up
BEGIN
    SELECT RAISE(ABORT, 'a follow-up is never deleted');
END;
