-- What judging needs of all the evidence of a release, kept beside it so that nothing has to read all of it: for
-- each check, declaration and set of parts how often it did not pass, and which rows still say something. Filled by
-- triggers in the transaction of the evidence itself; can be computed again from the evidence at any time.
CREATE TABLE evidence_group (
    release          INTEGER NOT NULL REFERENCES release (id),
    check_id         TEXT    NOT NULL,
    threshold_digest TEXT    NOT NULL,
    -- Labels of the parts that were those of the release, each followed by a space; images stand beside it.
    same             TEXT    NOT NULL,
    images           TEXT    NOT NULL,
    not_passed       INTEGER NOT NULL,
    -- Newest evidence that passed, newest that did not, and the first of those that did not pass since.
    last_pass        INTEGER,
    last_other       INTEGER,
    failing_from     INTEGER,
    PRIMARY KEY (release, check_id, threshold_digest, same, images)
) STRICT, WITHOUT ROWID;

-- Who ran a check on a release at all, and in which run first: nobody waives what they looked for themselves.
CREATE TABLE evidence_runner (
    release  INTEGER NOT NULL REFERENCES release (id),
    check_id TEXT    NOT NULL,
    by       INTEGER NOT NULL REFERENCES person (id),
    run      INTEGER NOT NULL REFERENCES run (id),
    PRIMARY KEY (release, check_id, by)
) STRICT, WITHOUT ROWID;

INSERT INTO evidence_group (release, check_id, threshold_digest, same, images, not_passed, last_pass, last_other,
                            failing_from)
WITH keyed AS (
    SELECT e.id, e.release, e.check_id, e.threshold_digest, e.outcome,
           iif(e.parts ->> '$.values.commit' = r.parts ->> '$.values.commit', 'commit ', '')
           || iif(e.parts ->> '$.values.config' = r.parts ->> '$.values.config', 'config ', '')
           || iif(e.parts ->> '$.values.env' = r.parts ->> '$.values.env', 'env ', '')
           || iif(e.parts ->> '$.values.runbook' = r.parts ->> '$.values.runbook', 'runbook ', '') AS same,
           coalesce(e.parts -> '$.images', '{}') AS images
    FROM evidence e JOIN release r ON r.id = e.release),
passed AS (
    SELECT *, max(iif(outcome = 'pass', id, NULL))
              OVER (PARTITION BY release, check_id, threshold_digest, same, images) AS pass
    FROM keyed)
SELECT release, check_id, threshold_digest, same, images,
       sum(outcome <> 'pass'), max(pass), max(iif(outcome <> 'pass', id, NULL)),
       min(iif(outcome <> 'pass' AND id > coalesce(pass, 0), id, NULL))
FROM passed
GROUP BY release, check_id, threshold_digest, same, images;

INSERT INTO evidence_runner (release, check_id, by, run)
SELECT release, check_id, by, min(run) FROM evidence GROUP BY release, check_id, by;

CREATE TRIGGER evidence_is_grouped AFTER INSERT ON evidence
BEGIN
    INSERT INTO evidence_group (release, check_id, threshold_digest, same, images, not_passed, last_pass,
                                last_other, failing_from)
    SELECT NEW.release, NEW.check_id, NEW.threshold_digest,
           iif(NEW.parts ->> '$.values.commit' = r.parts ->> '$.values.commit', 'commit ', '')
           || iif(NEW.parts ->> '$.values.config' = r.parts ->> '$.values.config', 'config ', '')
           || iif(NEW.parts ->> '$.values.env' = r.parts ->> '$.values.env', 'env ', '')
           || iif(NEW.parts ->> '$.values.runbook' = r.parts ->> '$.values.runbook', 'runbook ', ''),
           coalesce(NEW.parts -> '$.images', '{}'),
           NEW.outcome <> 'pass',
           iif(NEW.outcome = 'pass', NEW.id, NULL),
           iif(NEW.outcome <> 'pass', NEW.id, NULL),
           iif(NEW.outcome <> 'pass', NEW.id, NULL)
    FROM release r WHERE r.id = NEW.release
    ON CONFLICT (release, check_id, threshold_digest, same, images) DO UPDATE SET
        not_passed = not_passed + excluded.not_passed,
        last_pass = coalesce(excluded.last_pass, last_pass),
        last_other = coalesce(excluded.last_other, last_other),
        failing_from = iif(excluded.last_pass IS NULL, coalesce(failing_from, excluded.failing_from), NULL);
    INSERT INTO evidence_runner (release, check_id, by, run)
    VALUES (NEW.release, NEW.check_id, NEW.by, NEW.run)
    ON CONFLICT DO NOTHING;
END;

-- The measured values of a check, by release.
CREATE INDEX evidence_measured ON evidence (check_id, release, id) WHERE value IS NOT NULL;
-- The first evidence of a release that did not pass, from a time on.
CREATE INDEX evidence_not_passed ON evidence (release, at, id) WHERE outcome <> 'pass';
