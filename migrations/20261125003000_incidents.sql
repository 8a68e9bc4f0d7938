-- What a real rollback leaves behind: the facts as they were when it ended, and what people say about them
-- afterwards. Both are append-only; a cause is replaced by writing another one.
CREATE TABLE incident (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    run          INTEGER NOT NULL UNIQUE REFERENCES run (id),
    from_release INTEGER REFERENCES release (id),
    to_release   INTEGER NOT NULL REFERENCES release (id),
    by           INTEGER NOT NULL REFERENCES person (id),
    by_name      TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    report       TEXT    NOT NULL CHECK (json_valid(report))
) STRICT;

CREATE TABLE incident_note (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL REFERENCES incident (id),
    kind     TEXT    NOT NULL CHECK (kind IN ('cause', 'follow_up', 'done')),
    about    INTEGER REFERENCES incident_note (id),
    text     TEXT    NOT NULL,
    by       INTEGER NOT NULL REFERENCES person (id),
    by_name  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    CHECK ((kind = 'done') = (about IS NOT NULL)),
    CHECK (kind = 'done' OR text <> '')
) STRICT;
CREATE INDEX incident_note_by_incident ON incident_note (incident, id);

CREATE TRIGGER incident_keeps BEFORE UPDATE ON incident
BEGIN
    SELECT RAISE(ABORT, 'incident is append-only');
END;
CREATE TRIGGER incident_stays BEFORE DELETE ON incident
BEGIN
    SELECT RAISE(ABORT, 'incident is append-only');
END;
CREATE TRIGGER incident_note_keeps BEFORE UPDATE ON incident_note
BEGIN
    SELECT RAISE(ABORT, 'incident_note is append-only');
END;
CREATE TRIGGER incident_note_stays BEFORE DELETE ON incident_note
BEGIN
    SELECT RAISE(ABORT, 'incident_note is append-only');
END;
