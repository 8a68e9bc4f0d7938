-- An invitation that is withdrawn stays in the list, with the reason. What is withdrawn stays withdrawn.
ALTER TABLE link ADD COLUMN withdrawn_at INTEGER;
ALTER TABLE link ADD COLUMN withdrawn_because TEXT NOT NULL DEFAULT '';

CREATE INDEX link_by_maker ON link (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX link_invitation_by_age ON link (created_at) WHERE kind = 'invite';

CREATE TRIGGER link_stays_withdrawn BEFORE UPDATE ON link WHEN OLD.withdrawn_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a one-time link that was withdrawn cannot change');
END;
