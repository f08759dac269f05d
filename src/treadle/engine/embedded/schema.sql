-- The whole schema of a store, as a new file gets it. `migrations/` brings older files to exactly this; a test compares.
-- PRAGMA user_version repeats meta.schema, so that a transaction can check it without reading a table.
-- Times are UTC epoch milliseconds. Bodies are opaque bytes.

CREATE TABLE meta (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  store TEXT NOT NULL,               -- names this file for life; the high-water mark beside the lock repeats it
  schema INTEGER NOT NULL,
  oldest_writer INTEGER NOT NULL     -- code that knows this schema number may still write (ruling 18)
) STRICT;

CREATE TABLE definition (
  digest TEXT PRIMARY KEY,
  body BLOB NOT NULL
) STRICT;

-- The hot row of a run: small, one per run, changed by every step. What is large stands in `snapshot` and `event`.
CREATE TABLE run (
  number INTEGER PRIMARY KEY,        -- order of starting, place in a paged list
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  definition TEXT NOT NULL REFERENCES definition (digest),
  semantics INTEGER NOT NULL,
  status TEXT NOT NULL,
  revision INTEGER NOT NULL,         -- number of its events; the fence of every write
  head BLOB NOT NULL,                -- link of the last event (chain.py)
  snap_rev INTEGER NOT NULL,
  snap_bytes INTEGER NOT NULL,
  tail_bytes INTEGER NOT NULL,       -- bytes of events since the snapshot
  now_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  next_due_ms INTEGER,
  closed_ms INTEGER,
  title TEXT NOT NULL,
  words TEXT NOT NULL,
  started_by TEXT NOT NULL,
  directory TEXT NOT NULL,
  branch TEXT NOT NULL,
  forked_from TEXT NOT NULL DEFAULT ''   -- the run whose history it shares at its beginning
) STRICT;

CREATE INDEX run_open ON run (created_ms) WHERE closed_ms IS NULL;
CREATE INDEX run_due ON run (next_due_ms) WHERE next_due_ms IS NOT NULL;
CREATE INDEX run_place ON run (directory, branch);
CREATE INDEX run_fork ON run (forked_from) WHERE forked_from <> '';

-- What a run is found by: its id, name, title, words, branch and directory, by whole words and beginnings of words.
CREATE VIRTUAL TABLE run_text USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');

CREATE TABLE snapshot (
  run TEXT PRIMARY KEY REFERENCES run (id),
  rev INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE event (
  seq INTEGER PRIMARY KEY,           -- the change feed
  run TEXT NOT NULL REFERENCES run (id),
  rev INTEGER NOT NULL,
  prev BLOB NOT NULL,                -- link of the event before (ruling 39)
  body BLOB NOT NULL,
  UNIQUE (run, rev)
) STRICT;

-- `seq` must never be given twice, and SQLite gives max + 1: so the newest event stays, whatever else is pruned.
-- (AUTOINCREMENT would write one more page in every commit.)
CREATE TRIGGER event_newest_stays BEFORE DELETE ON event WHEN old.seq = (SELECT max(seq) FROM event)
BEGIN
  SELECT raise(ABORT, 'the newest event may not be deleted: its seq would be given again');
END;

-- Open actions only. Their history is in the events, so that this table, and what a step writes to it, stays small.
CREATE TABLE action (
  run TEXT NOT NULL REFERENCES run (id),
  id TEXT NOT NULL,
  status TEXT NOT NULL,
  kind TEXT NOT NULL,
  channel TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  performer TEXT NOT NULL,
  holder TEXT,
  lease_until_ms INTEGER,
  due_ms INTEGER,
  opened_ms INTEGER NOT NULL,
  params BLOB,
  PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX action_leased ON action (lease_until_ms) WHERE lease_until_ms IS NOT NULL;
CREATE INDEX action_due ON action (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX action_served ON action (opened_ms) WHERE performer = 'server';

CREATE TABLE request (
  key TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  reply BLOB NOT NULL,
  run TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
  digest TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which runs refer to a blob: what no run refers to may be collected.
CREATE TABLE blob_use (
  digest TEXT NOT NULL REFERENCES blob (digest),
  run TEXT NOT NULL REFERENCES run (id),
  PRIMARY KEY (digest, run)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_use_run ON blob_use (run);
