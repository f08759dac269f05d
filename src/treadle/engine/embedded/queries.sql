-- Every fixed statement of the store, by name. UPDATEs of run and action name only the columns that change, so their
-- text is put together in apply.py. `@run` and `@action` stand for the columns that make one record (rows.py).

-- name: start_run
INSERT INTO run (id, name, definition, semantics, status, revision, head, snap_rev, snap_bytes, tail_bytes, now_ms, created_ms,
  updated_ms, next_due_ms, closed_ms, title, words, started_by, directory, branch, forked_from)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING;

-- name: index_run
INSERT INTO run_text (rowid, text) VALUES (?, ?);

-- name: add_event
INSERT INTO event (run, rev, prev, body) VALUES (?, ?, ?, ?);

-- name: keep_snapshot
INSERT INTO snapshot (run, rev, body) VALUES (?, ?, ?)
ON CONFLICT (run) DO UPDATE SET rev = excluded.rev, body = excluded.body;

-- name: open_action
INSERT INTO action (run, @action)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: close_action
DELETE FROM action WHERE run = ? AND id = ?;

-- name: renew_lease
UPDATE action SET lease_until_ms = ?1, holder = ?5 WHERE run = ?2 AND id = ?3 AND attempt = ?4
AND (holder = ?5 OR (status = 'open' AND (holder IS NULL OR lease_until_ms <= ?6)));

-- name: add_request
INSERT INTO request (key, digest, reply, created_ms, run) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING;

-- name: add_definition
INSERT INTO definition (digest, body) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING;

-- name: add_blob
INSERT INTO blob (digest, size_bytes, created_ms) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING;

-- name: use_blob
INSERT INTO blob_use (digest, run) VALUES (?, ?) ON CONFLICT (digest, run) DO NOTHING;

-- name: share_blobs
INSERT INTO blob_use (digest, run) SELECT digest, ? FROM blob_use WHERE run = ? ON CONFLICT (digest, run) DO NOTHING;

-- name: run
SELECT @run FROM run WHERE id = ?;

-- name: run_ids
SELECT number, id FROM run WHERE number > ? ORDER BY number LIMIT ?;

-- name: events
SELECT seq, run, rev, body FROM event WHERE run = ? AND rev > ? ORDER BY rev LIMIT ?;

-- name: links
SELECT rev, prev, body FROM event WHERE run = ? ORDER BY rev;

-- name: snapshot
SELECT rev, body FROM snapshot WHERE run = ?;

-- name: actions
SELECT @action
FROM action WHERE run = ? ORDER BY opened_ms, id;

-- name: action
SELECT @action
FROM action WHERE run = ? AND id = ?;

-- name: lapsed
SELECT run, @action
FROM action WHERE lease_until_ms <= ? ORDER BY lease_until_ms LIMIT ?;

-- name: leased
SELECT run, @action
FROM action WHERE lease_until_ms IS NOT NULL ORDER BY lease_until_ms LIMIT ?;

-- name: served
SELECT run, @action
FROM action WHERE performer = 'server' ORDER BY opened_ms LIMIT ?;

-- name: due_actions
SELECT run, @action
FROM action WHERE due_ms <= ? ORDER BY due_ms LIMIT ?;

-- name: due_runs
SELECT id, next_due_ms FROM run WHERE next_due_ms <= ? ORDER BY next_due_ms LIMIT ?;

-- name: next_due
SELECT min(next_due_ms) FROM run WHERE next_due_ms IS NOT NULL;

-- name: next_lapse
SELECT min(lease_until_ms) FROM action WHERE lease_until_ms IS NOT NULL;

-- name: request
SELECT key, digest, reply, created_ms, run FROM request WHERE key = ?;

-- name: definition
SELECT body FROM definition WHERE digest = ?;

-- name: changes
SELECT seq, run, rev FROM event WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM event;

-- name: counts
SELECT status, count(*) FROM run GROUP BY status ORDER BY status;

-- name: blobs
SELECT digest, size_bytes, created_ms FROM blob WHERE digest > ? ORDER BY digest LIMIT ?;

-- name: users_of_blob
SELECT run FROM blob_use WHERE digest = ? ORDER BY run;

-- name: meta
SELECT store, schema, oldest_writer FROM meta;
