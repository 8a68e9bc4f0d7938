-- The runs whose directory is there, with its size once it was measured, so that retention and the figures of the
-- Activity page go by rows and not by walking over every directory that ever was.
CREATE TABLE run_directory (
    run   INTEGER PRIMARY KEY REFERENCES run (id),
    bytes INTEGER CHECK (bytes >= 0)
) STRICT;
CREATE INDEX run_directory_unmeasured ON run_directory (run) WHERE bytes IS NULL;

-- The sum of their sizes.
CREATE TABLE run_storage (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO run_storage (one, bytes) VALUES (1, 0);

INSERT INTO run_directory (run)
SELECT id FROM run WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE kind = 'run' AND entry = run.id);

CREATE TRIGGER run_has_a_directory AFTER INSERT ON run
BEGIN INSERT INTO run_directory (run) VALUES (NEW.id); END;
CREATE TRIGGER run_directory_is_pruned AFTER INSERT ON pruned WHEN NEW.kind = 'run'
BEGIN DELETE FROM run_directory WHERE run = NEW.entry; END;
CREATE TRIGGER run_directory_is_measured AFTER UPDATE OF bytes ON run_directory
BEGIN UPDATE run_storage SET bytes = bytes + coalesce(NEW.bytes, 0) - coalesce(OLD.bytes, 0); END;
CREATE TRIGGER run_directory_is_gone AFTER DELETE ON run_directory
BEGIN UPDATE run_storage SET bytes = bytes - coalesce(OLD.bytes, 0); END;

-- Only evidence that the clock collected is ever removed.
CREATE INDEX evidence_by_clock ON evidence (id) WHERE by = 0;
