-- The database migrations found applied on a release, beside those that its deploy listed: after a step, after
-- a deploy that failed, and when it became a rollback point. The newest list counts.
CREATE TABLE migration_list (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    release INTEGER NOT NULL REFERENCES release (id),
    run     INTEGER NOT NULL REFERENCES run (id),
    names   TEXT    NOT NULL CHECK (json_valid(names)),
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX migration_list_by_release ON migration_list (release, id);

CREATE TRIGGER migration_list_keeps BEFORE UPDATE ON migration_list
BEGIN
    SELECT RAISE(ABORT, 'migration_list is append-only');
END;
CREATE TRIGGER migration_list_stays BEFORE DELETE ON migration_list
BEGIN
    SELECT RAISE(ABORT, 'migration_list is append-only');
END;
