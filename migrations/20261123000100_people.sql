-- People are named by every act that is kept, so a person is never deleted, only disabled.
-- The login is stored in lower case: "Ada" and "ada" must not be two people.
CREATE TABLE person (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    login         TEXT    NOT NULL UNIQUE CHECK (length(login) BETWEEN 1 AND 200 AND login = lower(login)),
    password_hash TEXT             CHECK (password_hash LIKE '$argon2id$%'),
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE person_role (
    person INTEGER NOT NULL REFERENCES person (id),
    role   TEXT    NOT NULL CHECK (role IN ('devops', 'backend', 'frontend', 'qa', 'security', 'docs', 'po', 'admin')),
    PRIMARY KEY (person, role)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER person_is_never_deleted BEFORE DELETE ON person
BEGIN
    SELECT RAISE(ABORT, 'a person is never deleted, only disabled');
END;
