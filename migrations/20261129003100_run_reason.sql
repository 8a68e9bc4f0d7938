-- Why nobody knows how a run ended.
ALTER TABLE run ADD COLUMN because TEXT;
