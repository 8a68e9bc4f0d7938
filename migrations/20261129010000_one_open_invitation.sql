-- At most one invitation for a login is open: of two admins who invite the same person at the same moment one is told
-- about the other's invitation. Of several that are open already, the newest stays.
UPDATE link
SET withdrawn_at = CAST(unixepoch('subsec') * 1000 AS INTEGER), withdrawn_because = 'replaced by a newer invitation'
WHERE kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL
  AND EXISTS (
      SELECT 1 FROM link newer
      WHERE newer.kind = 'invite' AND newer.login = link.login
        AND newer.used_at IS NULL AND newer.withdrawn_at IS NULL
        AND (newer.created_at, newer.token_hash) > (link.created_at, link.token_hash)
  );

CREATE UNIQUE INDEX link_one_open_invitation ON link (login)
WHERE kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL;
