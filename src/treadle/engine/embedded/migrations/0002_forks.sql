-- Forks: which run another one comes from. oldest_writer: 1

ALTER TABLE run ADD COLUMN forked_from TEXT NOT NULL DEFAULT '';

CREATE INDEX run_fork ON run (forked_from) WHERE forked_from <> '';
