-- A double click deploys once: the first request with a key claims it, later ones get its answer.
-- The digest keeps a key from being used for another request by mistake.
CREATE TABLE idempotency (
    key           TEXT    PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 200),
    person        INTEGER NOT NULL REFERENCES person (id),
    act           TEXT    NOT NULL CHECK (act <> ''),
    params_digest TEXT    NOT NULL,
    answer        TEXT CHECK (json_valid(answer)),
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON idempotency
WHEN OLD.answer IS NOT NULL OR NEW.key IS NOT OLD.key OR NEW.person IS NOT OLD.person
     OR NEW.act IS NOT OLD.act OR NEW.params_digest IS NOT OLD.params_digest
BEGIN
    SELECT RAISE(ABORT, 'an idempotency key is answered once');
END;
