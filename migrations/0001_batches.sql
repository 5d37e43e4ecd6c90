-- Batches, the order they get, the outbox, and the cursors of those who read it.
--
-- Every table here is append-only, or one row that is updated in place. Partitions are ranges of ids, so that what has been
-- read is dropped whole and nothing is deleted row by row.

-- Ids of committed transactions. Taken late in a transaction, after its row locks, so that of two transactions that touch the
-- same row the later one has the higher id. CACHE must stay 1: a session with ids in reserve would break that.
CREATE SEQUENCE batch_id_seq CACHE 1;

-- One row a transaction that wrote messages.
CREATE TABLE batches (
  batch_id bigint NOT NULL PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  messages integer NOT NULL CHECK (messages >= 0),
  message_bytes bigint NOT NULL CHECK (message_bytes >= 0)
) PARTITION BY RANGE (batch_id);

-- The messages of a batch, as Kafka gets them.
CREATE TABLE outbox (
  batch_id bigint NOT NULL,
  ordinal integer NOT NULL CHECK (ordinal > 0),
  topic text NOT NULL,
  key bytea NOT NULL,
  payload bytea NOT NULL,
  type text NOT NULL,
  traceparent text,
  message_id text,
  PRIMARY KEY (batch_id, ordinal)
) PARTITION BY RANGE (batch_id);
COMMENT ON COLUMN outbox.type IS 'What the message is, for consumers: a CloudEvents type.';
COMMENT ON COLUMN outbox.message_id IS 'The id to publish it under when it is sent anew; NULL for shard-batch-ordinal.';

-- The order of batches, without gaps, given by the sequencer after they were committed.
CREATE TABLE sequenced_batches (
  seq bigint NOT NULL PRIMARY KEY,
  batch_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  messages integer NOT NULL,
  message_bytes bigint NOT NULL,
  messages_before bigint NOT NULL
) PARTITION BY RANGE (seq);
COMMENT ON COLUMN sequenced_batches.messages_before IS 'Messages of all batches with a lower seq: the difference of two rows counts those between.';

-- What the sequencer knows between passes. Batches up to scanned_to have a seq or belong to transactions that rolled back,
-- except those in gaps, whose transactions may still be running.
CREATE TABLE sequencer (
  only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  last_seq bigint NOT NULL,
  last_message bigint NOT NULL,
  scanned_to bigint NOT NULL,
  gaps bigint[] NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO sequencer (last_seq, last_message, scanned_to, gaps) VALUES (0, 0, 0, '{}');

-- How far each consumer has come. A hot row stays on its page (fillfactor) and is cleaned often.
CREATE TABLE cursors (
  consumer text NOT NULL PRIMARY KEY,
  seq bigint NOT NULL CHECK (seq >= 0),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO cursors (consumer, seq) VALUES ('relay', 0);

-- Messages that could not be sent, with the reason. A message enters in the transaction that moves the cursor past it.
CREATE TABLE dead_letters (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch_id bigint NOT NULL,
  ordinal integer NOT NULL,
  topic text NOT NULL,
  key bytea NOT NULL,
  payload bytea NOT NULL,
  type text NOT NULL,
  traceparent text,
  message_id text NOT NULL,
  created_at timestamptz NOT NULL,
  failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL,
  error text NOT NULL,
  redriven_at timestamptz,
  UNIQUE (batch_id, ordinal)
);
CREATE INDEX dead_letters_waiting ON dead_letters (id) WHERE redriven_at IS NULL;

-- The partitions of the tables above: which there are, and how wide a new one is.
CREATE TABLE partitioned_tables (
  parent text NOT NULL PRIMARY KEY,
  width bigint NOT NULL CHECK (width > 0)
);
INSERT INTO partitioned_tables (parent, width) VALUES
  ('batches', 1000000), ('outbox', 1000000), ('sequenced_batches', 1000000);

CREATE TABLE partitions (
  parent text NOT NULL REFERENCES partitioned_tables (parent),
  lower_bound bigint NOT NULL,
  upper_bound bigint NOT NULL CHECK (upper_bound > lower_bound),
  PRIMARY KEY (parent, lower_bound)
);

-- Makes partitions until `ahead` of them lie wholly above `used`, the highest id in use. Answers how many were made.
-- A table made apart and then attached takes no lock that stops writers, as CREATE TABLE ... PARTITION OF would.
CREATE FUNCTION extend_partitions(of_parent text, used bigint, ahead integer) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
  step bigint;
  low bigint;
  made integer := 0;
  child text;
BEGIN
  -- The row lock lets one caller at a time extend a table.
  SELECT width INTO STRICT step FROM partitioned_tables WHERE parent = of_parent FOR UPDATE;
  LOOP
    SELECT coalesce(max(upper_bound), used / step * step) INTO low FROM partitions WHERE parent = of_parent;
    EXIT WHEN low > used AND (SELECT count(*) FROM partitions WHERE parent = of_parent AND lower_bound > used) >= ahead;
    child := format('%s_%s', of_parent, low);
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (autovacuum_vacuum_insert_threshold = -1)', child, of_parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', of_parent, child, low, low + step);
    INSERT INTO partitions (parent, lower_bound, upper_bound) VALUES (of_parent, low, low + step);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- Drops the partitions that lie wholly below `below`. Answers how many. Waits only briefly for its lock, for whoever writes to
-- the table queues behind it meanwhile; lock_not_available means: try again later.
CREATE FUNCTION drop_partitions(of_parent text, below bigint) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
  dropped integer := 0;
  low bigint;
BEGIN
  PERFORM FROM partitioned_tables WHERE parent = of_parent FOR UPDATE;
  FOR low IN SELECT lower_bound FROM partitions WHERE parent = of_parent AND upper_bound <= below ORDER BY lower_bound LOOP
    EXECUTE format('DROP TABLE %I', format('%s_%s', of_parent, low));
    DELETE FROM partitions WHERE parent = of_parent AND lower_bound = low;
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

SELECT extend_partitions(parent, 0, 3) FROM partitioned_tables;
