-- Checks that the clock starts are started by nobody in particular. Runs and evidence name who began them, so
-- the clock has a row of its own: it holds no role, has no password and can never sign in.
INSERT INTO person (id, name, login, password_hash, disabled, created_at)
VALUES (0, 'Stagegate (schedule)', '(schedule)', NULL, 1, 0);

CREATE TRIGGER schedule_is_nobody BEFORE UPDATE ON person WHEN OLD.id = 0
BEGIN
    SELECT RAISE(ABORT, 'the schedule is no person');
END;
CREATE TRIGGER schedule_holds_no_role BEFORE INSERT ON person_role WHEN NEW.person = 0
BEGIN
    SELECT RAISE(ABORT, 'the schedule is no person');
END;
