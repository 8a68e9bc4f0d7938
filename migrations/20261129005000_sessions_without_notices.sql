-- Notices are kept in memory from now on. What older versions left in sessions may hold what strangers typed and
-- one-time links; sessions of nobody were only made to carry it.
DELETE FROM session WHERE person IS NULL;
UPDATE session SET data = json_remove(data, '$.flash') WHERE json_type(data, '$.flash') IS NOT NULL;
