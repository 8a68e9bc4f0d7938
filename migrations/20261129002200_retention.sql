-- What retention removed. The log of a run is a directory beside the database; evidence is a row. A row may only be
-- deleted when it is listed here, in the same transaction; the audit log has an event for it with the rows' digests.
CREATE TABLE pruned (
    kind  TEXT    NOT NULL CHECK (kind IN ('run', 'evidence')),
    entry INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (kind, entry)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER pruned_keeps BEFORE UPDATE ON pruned
BEGIN
    SELECT RAISE(ABORT, 'pruned is append-only');
END;
CREATE TRIGGER pruned_stays BEFORE DELETE ON pruned
BEGIN
    SELECT RAISE(ABORT, 'pruned is append-only');
END;

DROP TRIGGER evidence_stays;
CREATE TRIGGER evidence_stays BEFORE DELETE ON evidence
WHEN NOT EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence' AND entry = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'evidence is append-only');
END;
