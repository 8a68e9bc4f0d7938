-- An attempt that is broken off gives its claim back, and only its own: the same key may have been claimed again
-- by then.
ALTER TABLE idempotency ADD COLUMN owner TEXT NOT NULL DEFAULT '';
