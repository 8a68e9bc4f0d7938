-- Follow-ups are shown with the runs that they follow: a write to them is a write to that part.
CREATE TRIGGER run_follow_up_added_counts AFTER INSERT ON run_follow_up
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'runs'; END;
CREATE TRIGGER run_follow_up_changed_counts AFTER UPDATE ON run_follow_up
BEGIN UPDATE part_revision SET n = n + 1 WHERE part = 'runs'; END;
