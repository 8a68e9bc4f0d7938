-- What checks found. It is judged again and again, and must read the same each time: append-only.
CREATE TABLE evidence (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    check_id         TEXT    NOT NULL CHECK (check_id <> ''),
    outcome          TEXT    NOT NULL CHECK (outcome IN ('pass', 'fail', 'inconclusive')),
    value            REAL,
    saw              TEXT    NOT NULL,
    wanted           TEXT    NOT NULL,
    next             TEXT    NOT NULL,
    threshold_digest TEXT    NOT NULL,
    parts            TEXT    NOT NULL CHECK (json_valid(parts)),
    release          INTEGER NOT NULL REFERENCES release (id),
    run              INTEGER NOT NULL REFERENCES run (id),
    by               INTEGER NOT NULL REFERENCES person (id),
    at               INTEGER NOT NULL
) STRICT;

CREATE INDEX evidence_by_check ON evidence (check_id, id);
CREATE INDEX evidence_by_release ON evidence (release, id);
CREATE INDEX evidence_by_run ON evidence (run, id);

CREATE TRIGGER evidence_keeps BEFORE UPDATE ON evidence
BEGIN
    SELECT RAISE(ABORT, 'evidence is append-only');
END;
CREATE TRIGGER evidence_stays BEFORE DELETE ON evidence
BEGIN
    SELECT RAISE(ABORT, 'evidence is append-only');
END;
