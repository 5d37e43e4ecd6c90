-- Locks: who holds them, and who waits. A key is one text, as in accounts.

-- Grants of one lock have growing tokens: the number is taken under the lock's row lock.
CREATE SEQUENCE lock_tokens CACHE 1;
CREATE SEQUENCE lock_waiter_ids CACHE 1;

-- The row whose row lock puts the changes of one lock into an order. It comes with the first grant and is removed when it has
-- been idle for a while.
CREATE TABLE locks (
  type text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  released_token bigint,
  PRIMARY KEY (type, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX locks_idle ON locks (used_at);
COMMENT ON COLUMN locks.used_at IS 'The last try to take it, to the minute; that keeps the index out of most changes.';
COMMENT ON COLUMN locks.released_token IS 'Of the latest release, so that its repetition can be told from a lost lock.';

-- Grants. One that has expired counts for nothing, and goes with the next grant of its lock or by the cleaning. Who relies on
-- one holds its row FOR KEY SHARE: then it cannot be deleted, and so no other can be granted, before he has committed.
CREATE TABLE lock_holders (
  type text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  token bigint NOT NULL,
  owner text NOT NULL,
  exclusive boolean NOT NULL,
  acquired_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (type, key, token)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- The queue of a lock, by waiter_id. The server that a call waits on renews lease_until; a waiter whose lease has passed
-- counts for nothing.
CREATE TABLE lock_waiters (
  type text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  waiter_id bigint NOT NULL,
  owner text NOT NULL,
  exclusive boolean NOT NULL,
  lease_until timestamptz NOT NULL,
  wait_until timestamptz NOT NULL,
  PRIMARY KEY (type, key, waiter_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX lock_waiters_by_id ON lock_waiters (waiter_id);
