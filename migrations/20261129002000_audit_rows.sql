-- What the audit log vouches for. Each event may carry the digests of the rows that were written with it; the
-- event's own hash covers them through rows_digest. A row without an entry here, or with another digest than its
-- last entry, was written behind the program's back. An empty digest says that the program removed the row.
ALTER TABLE audit_event ADD COLUMN rows_digest TEXT NOT NULL DEFAULT '' CHECK (length(rows_digest) IN (0, 64));

CREATE TABLE audit_row (
    kind   TEXT    NOT NULL CHECK (kind <> ''),
    entry  INTEGER NOT NULL,
    seq    INTEGER NOT NULL REFERENCES audit_event (seq),
    scope  TEXT    NOT NULL,
    digest TEXT    NOT NULL CHECK (length(digest) IN (0, 64)),
    PRIMARY KEY (kind, entry, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_row_by_scope ON audit_row (kind, scope, entry);
CREATE INDEX audit_row_by_event ON audit_row (seq);

CREATE TRIGGER audit_row_keeps BEFORE UPDATE ON audit_row
BEGIN
    SELECT RAISE(ABORT, 'audit_row is append-only');
END;
CREATE TRIGGER audit_row_stays BEFORE DELETE ON audit_row
BEGIN
    SELECT RAISE(ABORT, 'audit_row is append-only');
END;

-- How far the chain was verified last. Verification goes on from here and first looks whether this event is still
-- the one that was verified.
CREATE TABLE audit_checkpoint (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash TEXT    NOT NULL CHECK (length(hash) = 64),
    at   INTEGER NOT NULL
) STRICT;
