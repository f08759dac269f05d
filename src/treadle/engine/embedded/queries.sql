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
SELECT @run FROM run WHERE id = ? AND status <> '@gone';

-- name: run_ids
SELECT number, id FROM run WHERE number > ? AND status <> '@gone' ORDER BY number LIMIT ?;

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

-- name: latest_ms
SELECT max(updated_ms) FROM run;

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM event;

-- name: counts
SELECT status, count(*) FROM run WHERE status <> '@gone' GROUP BY status ORDER BY status;

-- name: blobs
SELECT digest, size_bytes, created_ms FROM blob WHERE digest > ? ORDER BY digest LIMIT ?;

-- name: users_of_blob
SELECT run FROM blob_use WHERE digest = ? ORDER BY run;

-- name: meta
SELECT store, schema, oldest_writer FROM meta;

-- What pruning asks for (pruning.py).

-- name: ended_runs
SELECT number, id, name, status, revision, closed_ms, forked_from FROM run WHERE status <> '@gone' ORDER BY closed_ms, number;

-- name: first_event
SELECT body FROM event WHERE run = ? AND rev = 1;

-- name: run_bytes
SELECT (SELECT coalesce(sum(length(body)), 0) + count(*) * 150 FROM event WHERE run = ?1)
+ (SELECT coalesce(sum(length(body)), 0) FROM snapshot WHERE run = ?1) + 500;

-- name: run_blobs
SELECT blob.digest, blob.size_bytes, (SELECT count(*) FROM blob_use AS other WHERE other.digest = blob.digest)
FROM blob_use JOIN blob ON blob.digest = blob_use.digest WHERE blob_use.run = ?;

-- name: blob_bytes
SELECT coalesce(sum(size_bytes), 0) FROM blob;

-- name: newest_run
SELECT run FROM event ORDER BY seq DESC LIMIT 1;

-- name: gone_runs
SELECT id FROM run WHERE status = '@gone';

-- name: bury_run
UPDATE run SET status = ?, next_due_ms = NULL, forked_from = '' WHERE id = ? AND revision = ? AND closed_ms IS NOT NULL RETURNING number;

-- name: unindex_run
DELETE FROM run_text WHERE rowid = ?;

-- name: drop_snapshot
DELETE FROM snapshot WHERE run = ?;

-- name: drop_actions
DELETE FROM action WHERE run = ?;

-- name: drop_uses
DELETE FROM blob_use WHERE run = ?;

-- name: drop_requests
DELETE FROM request WHERE key >= ? AND key < ?;

-- name: start_keys
SELECT key, run FROM request WHERE key >= 'start:' AND key < 'start;' UNION ALL
SELECT key, run FROM request WHERE key >= 'fork:' AND key < 'fork;';

-- name: drop_request
DELETE FROM request WHERE key = ?;

-- name: drop_events
DELETE FROM event WHERE run = ? AND rev IN (SELECT rev FROM event WHERE run = ? ORDER BY rev LIMIT ?);

-- name: drop_run
DELETE FROM run WHERE id = ?;

-- name: unused_definitions
SELECT digest FROM definition WHERE digest NOT IN (SELECT definition FROM run);

-- name: events_with
SELECT body FROM event WHERE instr(body, ?);

-- name: definition_named_since
SELECT 1 FROM event JOIN run ON run.id = event.run WHERE seq > ? AND (run.definition = ? OR instr(event.body, ?)) LIMIT 1;

-- name: drop_definition
DELETE FROM definition WHERE digest = ?;

-- name: blob
SELECT size_bytes FROM blob WHERE digest = ?;

-- name: unused_blobs
SELECT digest FROM blob WHERE NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.digest = blob.digest) AND digest > ? ORDER BY digest LIMIT ?;

-- name: drop_blob
DELETE FROM blob WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM blob_use WHERE digest = ?);

-- name: rename_store
UPDATE meta SET store = ?;

-- name: end_leases
UPDATE action SET lease_until_ms = 0 WHERE lease_until_ms IS NOT NULL;
