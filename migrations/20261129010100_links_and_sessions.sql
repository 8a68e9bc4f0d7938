-- A one-time link gives an account, so the audit log vouches for its row as for those that judgements rest on. For
-- that it needs a number.
CREATE TABLE numbered_link (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash        TEXT    NOT NULL UNIQUE CHECK (length(token_hash) = 64),
    kind              TEXT    NOT NULL CHECK (kind IN ('setup', 'invite', 'signin', 'reset')),
    person            INTEGER REFERENCES person (id),
    name              TEXT    NOT NULL DEFAULT '',
    login             TEXT    NOT NULL DEFAULT '' CHECK (login = lower(login)),
    roles             TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(roles)),
    made_by           INTEGER REFERENCES person (id),
    created_at        INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL CHECK (expires_at > created_at),
    used_at           INTEGER,
    withdrawn_at      INTEGER,
    withdrawn_because TEXT    NOT NULL DEFAULT '',
    CHECK ((kind IN ('signin', 'reset')) = (person IS NOT NULL)),
    CHECK (kind <> 'invite' OR (name <> '' AND login <> ''))
) STRICT;

INSERT INTO numbered_link (token_hash, kind, person, name, login, roles, made_by, created_at, expires_at, used_at,
                           withdrawn_at, withdrawn_because)
SELECT token_hash, kind, person, name, login, roles, made_by, created_at, expires_at, used_at,
       withdrawn_at, withdrawn_because
FROM link ORDER BY created_at, token_hash;

DROP TABLE link;
ALTER TABLE numbered_link RENAME TO link;

CREATE INDEX link_by_person ON link (person) WHERE person IS NOT NULL;
CREATE INDEX link_by_maker ON link (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX link_invitation_by_age ON link (created_at) WHERE kind = 'invite';
CREATE UNIQUE INDEX link_one_open_invitation ON link (login)
    WHERE kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL;

CREATE TRIGGER link_is_used_once BEFORE UPDATE ON link WHEN OLD.used_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a one-time link that was used cannot change');
END;
CREATE TRIGGER link_stays_withdrawn BEFORE UPDATE ON link WHEN OLD.withdrawn_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a one-time link that was withdrawn cannot change');
END;

-- A session is authenticated with a key that is not in this file, so a row that somebody else wrote signs nobody in.
-- Sessions from before have no such code and end here: people sign in again.
DELETE FROM session;
ALTER TABLE session ADD COLUMN mac TEXT NOT NULL DEFAULT '' CHECK (length(mac) IN (0, 64));
