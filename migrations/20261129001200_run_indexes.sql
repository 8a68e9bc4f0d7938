-- What is asked of the runs, each by an index of its own.
CREATE INDEX run_on_stack ON run (id) WHERE kind IN ('deploy', 'rollback', 'drill');
CREATE INDEX run_on_stack_by_release ON run (release, id) WHERE kind IN ('deploy', 'rollback', 'drill');
CREATE INDEX run_by_outcome ON run (kind, outcome, id);
CREATE INDEX run_over ON run (id) WHERE state <> 'running';
-- Runs that went to their end: how long the next one takes is read from them. A run of checks takes as long whatever
-- it finds; the others end early when they fail.
CREATE INDEX run_whole ON run (kind, subject, id)
    WHERE outcome = 'passed' OR (kind = 'check' AND outcome IN ('failed', 'inconclusive'));
CREATE INDEX attestation_by_release ON attestation (release, id);
