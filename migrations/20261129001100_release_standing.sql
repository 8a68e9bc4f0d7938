-- Where each release stands, out of its events: filled by a trigger in the transaction of the event, so that the
-- releases one can return to are found by an index however many there are. Can be computed again from the events.
CREATE TABLE release_standing (
    release     INTEGER PRIMARY KEY REFERENCES release (id),
    state       TEXT    NOT NULL CHECK (state IN ('opened', 'deployed', 'failed', 'rolled_back_from', 'rolled_back_to')),
    -- The event of its last deploy, and the time of that.
    deploy      INTEGER REFERENCES release_event (id),
    deployed_at INTEGER,
    -- Since when it is a rollback point; NULL when it is none, or was found bad since.
    point_at    INTEGER
) STRICT;

INSERT INTO release_standing (release, state, deploy, deployed_at, point_at)
SELECT r.id,
       coalesce((SELECT e.kind FROM release_event e WHERE e.release = r.id AND e.kind NOT IN ('bad', 'rollback_point')
                 ORDER BY e.id DESC LIMIT 1), 'opened'),
       (SELECT max(e.id) FROM release_event e WHERE e.release = r.id AND e.kind = 'deployed'),
       (SELECT e.at FROM release_event e WHERE e.release = r.id AND e.kind = 'deployed' ORDER BY e.id DESC LIMIT 1),
       (SELECT e.at FROM release_event e WHERE e.release = r.id AND e.kind = 'rollback_point'
          AND NOT EXISTS (SELECT 1 FROM release_event b WHERE b.release = r.id AND b.kind = 'bad' AND b.id > e.id)
        ORDER BY e.id DESC LIMIT 1)
FROM release r;

CREATE TRIGGER release_stands_by_its_events AFTER INSERT ON release_event
BEGIN
    INSERT INTO release_standing (release, state) VALUES (NEW.release, 'opened') ON CONFLICT DO NOTHING;
    UPDATE release_standing SET
        state = iif(NEW.kind IN ('bad', 'rollback_point'), state, NEW.kind),
        deploy = iif(NEW.kind = 'deployed', NEW.id, deploy),
        deployed_at = iif(NEW.kind = 'deployed', NEW.at, deployed_at),
        point_at = CASE NEW.kind WHEN 'rollback_point' THEN NEW.at WHEN 'bad' THEN NULL ELSE point_at END
    WHERE release = NEW.release;
END;
CREATE TRIGGER release_standing_stays BEFORE DELETE ON release_standing
BEGIN
    SELECT RAISE(ABORT, 'the standing of a release is never deleted');
END;

-- Releases that one can return to: rollback points first, then whatever was healthy.
CREATE INDEX release_standing_points ON release_standing (deployed_at, release)
    WHERE point_at IS NOT NULL AND deployed_at IS NOT NULL AND state <> 'rolled_back_from';
CREATE INDEX release_standing_healthy ON release_standing (deployed_at, release)
    WHERE deployed_at IS NOT NULL AND state <> 'rolled_back_from';
CREATE INDEX release_standing_deployed ON release_standing (deployed_at, release)
    WHERE deployed_at IS NOT NULL AND state IN ('deployed', 'rolled_back_to');
CREATE INDEX release_standing_all_points ON release_standing (point_at, release) WHERE point_at IS NOT NULL;
CREATE INDEX release_standing_with_images ON release_standing (release) WHERE deploy IS NOT NULL;
-- The release that is judged, and the one that runs.
CREATE INDEX release_event_moves ON release_event (id) WHERE kind IN ('opened', 'deployed', 'rolled_back_to');
CREATE INDEX release_event_runs ON release_event (id) WHERE kind IN ('deployed', 'failed', 'rolled_back_to');
