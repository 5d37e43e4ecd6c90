-- Tasks: work that waits for a runner, and the kinds of it.

-- What the servers can do. Each writes its own at its start; people and programs without the servers' code look here.
CREATE TABLE task_kinds (
  kind text NOT NULL PRIMARY KEY CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
  about text NOT NULL,
  schedule text NOT NULL,
  max_attempts integer NOT NULL CHECK (max_attempts > 0),
  timeout_seconds double precision NOT NULL CHECK (timeout_seconds > 0),
  fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON COLUMN task_kinds.schedule IS 'A cron expression in UTC; empty: runs only when it is asked for.';
COMMENT ON COLUMN task_kinds.fired_at IS 'When the schedule was last acted on. Who changes it from the value that it read has fired.';

CREATE TABLE tasks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL REFERENCES task_kinds (kind),
  key text NOT NULL CHECK (char_length(key) <= 200),
  payload text NOT NULL CHECK (octet_length(payload) <= 8192),
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  run_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  max_attempts integer NOT NULL CHECK (max_attempts > 0),
  last_error text CHECK (octet_length(last_error) <= 2048),
  result text CHECK (octet_length(result) <= 4096),
  traceparent text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz,
  lease_owner text,
  lease_until timestamptz,
  CHECK ((state = 'running') = (lease_owner IS NOT NULL AND lease_until IS NOT NULL)),
  CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
COMMENT ON COLUMN tasks.attempts IS 'Runs that were begun and not cut short by a stop of the program.';
COMMENT ON COLUMN tasks.lease_owner IS 'Who runs it. Nobody else touches the row before lease_until.';

-- One run at a time of a kind and key: whoever starts a second one is refused.
CREATE UNIQUE INDEX tasks_running ON tasks (kind, key) WHERE state = 'running';
-- What is due, and what waits under a key.
CREATE INDEX tasks_due ON tasks (run_at, id) WHERE state = 'waiting';
CREATE INDEX tasks_waiting ON tasks (kind, key, id) WHERE state = 'waiting';
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE state IN ('done', 'failed');

-- Adds a task, unless one of its kind and key waits that would do the same. Answers the id, and in `outcome`:
--   made      a new one
--   waits     the one that waits; it now runs at `at` if that is sooner and `hasten` is set
--   differs   the one that waits, which has another payload; nothing was changed
-- What runs already does not count: it may have begun before whatever the caller wants to be seen. `at` NULL is now.
-- raise_exception: there is no such kind.
CREATE FUNCTION enqueue_task(of_kind text, of_key text, with_payload text, at timestamptz, hasten boolean, from_trace text,
                             OUT task_id bigint, OUT outcome text)
LANGUAGE plpgsql AS $$
DECLARE
  attempts_allowed integer;
  waiting_payload text;
BEGIN
  SELECT max_attempts INTO attempts_allowed FROM task_kinds WHERE kind = of_kind;
  IF NOT FOUND THEN
    RAISE 'there is no kind of task %', quote_literal(of_kind);
  END IF;
  -- One caller at a time for a key, so that two who come at once do not both find that none waits.
  PERFORM pg_advisory_xact_lock(hashtextextended(of_kind || '/' || of_key, x'7461736b73'::int8));
  SELECT id, payload INTO task_id, waiting_payload FROM tasks
    WHERE kind = of_kind AND key = of_key AND state = 'waiting' ORDER BY id LIMIT 1 FOR UPDATE;
  IF NOT FOUND THEN
    outcome := 'made';
    INSERT INTO tasks (kind, key, payload, run_at, max_attempts, traceparent)
      VALUES (of_kind, of_key, with_payload, coalesce(at, clock_timestamp()), attempts_allowed, from_trace) RETURNING id INTO task_id;
  ELSIF waiting_payload <> with_payload THEN
    outcome := 'differs';
  ELSE
    outcome := 'waits';
    IF hasten THEN
      UPDATE tasks SET run_at = least(run_at, coalesce(at, clock_timestamp())) WHERE id = task_id;
    END IF;
  END IF;
END $$;
