-- The list of runs of one kind is read a page at a time.
CREATE INDEX run_by_kind ON run (kind, id);
