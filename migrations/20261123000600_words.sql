-- What people said: attestations, waivers, acceptances, sign-offs, decisions. A word is taken back by
-- saying another one, never by changing what was said: append-only, all of them.
CREATE TABLE attestation (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    item        TEXT    NOT NULL CHECK (item <> ''),
    text_digest TEXT    NOT NULL,
    release     INTEGER NOT NULL REFERENCES release (id),
    by          INTEGER NOT NULL REFERENCES person (id),
    by_name     TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    link        TEXT    NOT NULL DEFAULT '',
    at          INTEGER NOT NULL,
    holds       INTEGER NOT NULL CHECK (holds IN (0, 1))
) STRICT;
CREATE INDEX attestation_by_item ON attestation (item, id);

CREATE TABLE waiver (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    item        TEXT    NOT NULL CHECK (item <> ''),
    text_digest TEXT    NOT NULL,
    by          INTEGER NOT NULL REFERENCES person (id),
    by_name     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    holds       INTEGER NOT NULL CHECK (holds IN (0, 1)),
    CHECK (holds = 0 OR (until > at AND reason <> ''))
) STRICT;
CREATE INDEX waiver_by_item ON waiver (item, id);

CREATE TABLE acceptance (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    gate    TEXT    NOT NULL CHECK (gate <> ''),
    release INTEGER NOT NULL REFERENCES release (id),
    digest  TEXT    NOT NULL CHECK (digest <> ''),
    by      INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX acceptance_by_release ON acceptance (release, id);

CREATE TABLE sign_off (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    release INTEGER NOT NULL REFERENCES release (id),
    role    TEXT    NOT NULL CHECK (role IN ('devops', 'backend', 'frontend', 'qa', 'security', 'docs', 'po')),
    by      INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT    NOT NULL,
    choice  TEXT    NOT NULL CHECK (choice IN ('go', 'no-go')),
    comment TEXT    NOT NULL,
    digest  TEXT    NOT NULL CHECK (digest <> ''),
    shown   TEXT    NOT NULL CHECK (json_valid(shown)),
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_off_by_release ON sign_off (release, id);

CREATE TABLE decision (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    release INTEGER NOT NULL REFERENCES release (id),
    choice  TEXT    NOT NULL CHECK (choice IN ('go', 'no-go')),
    note    TEXT    NOT NULL,
    digest  TEXT    NOT NULL CHECK (digest <> ''),
    by      INTEGER NOT NULL REFERENCES person (id),
    by_name TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_by_release ON decision (release, id);

CREATE TRIGGER attestation_keeps BEFORE UPDATE ON attestation
BEGIN
    SELECT RAISE(ABORT, 'attestation is append-only');
END;
CREATE TRIGGER attestation_stays BEFORE DELETE ON attestation
BEGIN
    SELECT RAISE(ABORT, 'attestation is append-only');
END;
CREATE TRIGGER waiver_keeps BEFORE UPDATE ON waiver
BEGIN
    SELECT RAISE(ABORT, 'waiver is append-only');
END;
CREATE TRIGGER waiver_stays BEFORE DELETE ON waiver
BEGIN
    SELECT RAISE(ABORT, 'waiver is append-only');
END;
CREATE TRIGGER acceptance_keeps BEFORE UPDATE ON acceptance
BEGIN
    SELECT RAISE(ABORT, 'acceptance is append-only');
END;
CREATE TRIGGER acceptance_stays BEFORE DELETE ON acceptance
BEGIN
    SELECT RAISE(ABORT, 'acceptance is append-only');
END;
CREATE TRIGGER sign_off_keeps BEFORE UPDATE ON sign_off
BEGIN
    SELECT RAISE(ABORT, 'sign_off is append-only');
END;
CREATE TRIGGER sign_off_stays BEFORE DELETE ON sign_off
BEGIN
    SELECT RAISE(ABORT, 'sign_off is append-only');
END;
CREATE TRIGGER decision_keeps BEFORE UPDATE ON decision
BEGIN
    SELECT RAISE(ABORT, 'decision is append-only');
END;
CREATE TRIGGER decision_stays BEFORE DELETE ON decision
BEGIN
    SELECT RAISE(ABORT, 'decision is append-only');
END;
