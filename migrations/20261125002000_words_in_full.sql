-- What was shown with a word, so that a page can say later what has changed since. Rows written before read
-- as having said nothing of it.
ALTER TABLE sign_off ADD COLUMN would_change TEXT NOT NULL DEFAULT '';
ALTER TABLE sign_off ADD COLUMN parts TEXT CHECK (parts IS NULL OR json_valid(parts));
ALTER TABLE decision ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE decision ADD COLUMN shown TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(shown));
