-- A release is what was found when it was opened; everything that happened to it since is an event.
-- Where it stands is read from the events, so that its history cannot be lost by overwriting it.
CREATE TABLE release (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    parts     TEXT    NOT NULL CHECK (json_valid(parts)),
    subject   TEXT    NOT NULL,
    opened_by INTEGER NOT NULL REFERENCES person (id),
    opened_at INTEGER NOT NULL
) STRICT;

CREATE TABLE release_event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    release    INTEGER NOT NULL REFERENCES release (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('opened', 'deployed', 'failed', 'rolled_back_from',
                                                'rolled_back_to', 'bad', 'rollback_point')),
    by         INTEGER NOT NULL REFERENCES person (id),
    by_name    TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    run        INTEGER,
    note       TEXT    NOT NULL DEFAULT '',
    images     TEXT CHECK (json_valid(images)),
    migrations TEXT CHECK (json_valid(migrations)),
    CHECK ((kind = 'deployed') = (images IS NOT NULL)),
    CHECK (migrations IS NULL OR kind IN ('deployed', 'rolled_back_to'))
) STRICT;

CREATE INDEX release_event_by_release ON release_event (release, id);
CREATE INDEX release_event_by_kind ON release_event (kind, id);

CREATE TRIGGER release_keeps BEFORE UPDATE ON release
BEGIN
    SELECT RAISE(ABORT, 'release is append-only');
END;
CREATE TRIGGER release_stays BEFORE DELETE ON release
BEGIN
    SELECT RAISE(ABORT, 'release is append-only');
END;
CREATE TRIGGER release_event_keeps BEFORE UPDATE ON release_event
BEGIN
    SELECT RAISE(ABORT, 'release_event is append-only');
END;
CREATE TRIGGER release_event_stays BEFORE DELETE ON release_event
BEGIN
    SELECT RAISE(ABORT, 'release_event is append-only');
END;

-- What was signed must stay what runs: the images of a release are settled by its first deploy.
CREATE TRIGGER release_images_are_set_once BEFORE INSERT ON release_event
WHEN NEW.kind = 'deployed' AND EXISTS (
    SELECT 1 FROM release_event e
    WHERE e.release = NEW.release AND e.kind = 'deployed' AND e.images IS NOT NEW.images)
BEGIN
    SELECT RAISE(ABORT, 'the images of a release are set once');
END;
