-- The intents of the audit log that have no outcome yet, so that a start finds them without reading the log. Can be
-- computed again from the log; it holds no reference to it, since whether the log is whole is for verification to say.
CREATE TABLE open_intent (
    seq INTEGER PRIMARY KEY
) STRICT;

INSERT INTO open_intent (seq)
SELECT i.seq FROM audit_event i
WHERE i.outcome = 'intent' AND NOT EXISTS (SELECT 1 FROM audit_event o WHERE o.intent = i.seq);

CREATE TRIGGER audit_intent_opens AFTER INSERT ON audit_event WHEN NEW.outcome = 'intent'
BEGIN
    INSERT OR IGNORE INTO open_intent (seq) VALUES (NEW.seq);
END;
CREATE TRIGGER audit_outcome_closes AFTER INSERT ON audit_event WHEN NEW.intent IS NOT NULL
BEGIN
    DELETE FROM open_intent WHERE seq = NEW.intent;
END;
