-- Counts the changes of each part of the store that is held in memory. Whoever writes, in this process or another,
-- counts up in the same transaction; readers load only the parts whose count differs.
CREATE TABLE part_revision (
    part TEXT    PRIMARY KEY,
    n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO part_revision (part, n)
VALUES ('people', 1), ('releases', 1), ('evidence', 1), ('runs', 1), ('words', 1), ('changes', 1), ('incidents', 1);

CREATE TRIGGER person_added_counts AFTER INSERT ON person
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'people'; END;
CREATE TRIGGER person_changed_counts AFTER UPDATE ON person
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'people'; END;
CREATE TRIGGER role_added_counts AFTER INSERT ON person_role
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'people'; END;
CREATE TRIGGER role_removed_counts AFTER DELETE ON person_role
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'people'; END;
CREATE TRIGGER release_event_counts AFTER INSERT ON release_event
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'releases'; END;
CREATE TRIGGER migration_list_counts AFTER INSERT ON migration_list
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'releases'; END;
CREATE TRIGGER evidence_counts AFTER INSERT ON evidence
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'evidence'; END;
CREATE TRIGGER evidence_removed_counts AFTER DELETE ON evidence
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'evidence'; END;
CREATE TRIGGER run_added_counts AFTER INSERT ON run
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'runs'; END;
CREATE TRIGGER run_changed_counts AFTER UPDATE ON run
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'runs'; END;
CREATE TRIGGER run_removed_counts AFTER DELETE ON run
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'runs'; END;
CREATE TRIGGER attestation_counts AFTER INSERT ON attestation
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'words'; END;
CREATE TRIGGER waiver_counts AFTER INSERT ON waiver
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'words'; END;
CREATE TRIGGER acceptance_counts AFTER INSERT ON acceptance
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'words'; END;
CREATE TRIGGER sign_off_counts AFTER INSERT ON sign_off
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'words'; END;
CREATE TRIGGER decision_counts AFTER INSERT ON decision
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'words'; END;
CREATE TRIGGER change_counts AFTER INSERT ON change
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'changes'; END;
CREATE TRIGGER incident_counts AFTER INSERT ON incident
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'incidents'; END;
CREATE TRIGGER incident_note_counts AFTER INSERT ON incident_note
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'incidents'; END;
