-- The blanks of the runbook's ownership log. Each value written in a blank stays readable: append-only,
-- and the last one counts.
CREATE TABLE ownership_entry (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    field   TEXT    NOT NULL CHECK (field <> ''),
    value   TEXT    NOT NULL,
    by      INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX ownership_entry_by_field ON ownership_entry (field, id);

CREATE TRIGGER ownership_entry_keeps BEFORE UPDATE ON ownership_entry
BEGIN
    SELECT RAISE(ABORT, 'ownership_entry is append-only');
END;
CREATE TRIGGER ownership_entry_stays BEFORE DELETE ON ownership_entry
BEGIN
    SELECT RAISE(ABORT, 'ownership_entry is append-only');
END;
