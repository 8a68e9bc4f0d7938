-- When watched things (parts of a release, images, the env file's mode, conditions of containers) were first
-- seen to be what they are. Digests, image IDs and words only. What was seen is kept as it was seen.
CREATE TABLE change (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT    NOT NULL CHECK (key <> ''),
    was TEXT,
    now TEXT    NOT NULL,
    at  INTEGER NOT NULL
) STRICT;

CREATE INDEX change_by_key ON change (key, id);

CREATE TRIGGER change_keeps BEFORE UPDATE ON change
BEGIN
    SELECT RAISE(ABORT, 'change is append-only');
END;
CREATE TRIGGER change_stays BEFORE DELETE ON change
BEGIN
    SELECT RAISE(ABORT, 'change is append-only');
END;
