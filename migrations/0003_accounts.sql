-- The ledger: account types, accounts and their subaccounts, events, stored balances, turnovers, and the keys that make
-- writes idempotent.
--
-- Values of a key or of attributes are one text: in the order of the type's definition, joined by U+001F, which no value
-- may hold. string_to_array(key, E'\x1f') parts them.

-- What is fixed once for a database.
CREATE TABLE ledger (
  only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  time_zone text NOT NULL
);
COMMENT ON COLUMN ledger.time_zone IS 'Where the accounting day begins; stored by the first start of a server.';

-- The account types as they were last configured, so that a change that would break stored data can be refused.
CREATE TABLE account_types (
  type_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  key_attributes text[] NOT NULL,
  auxiliary_attributes text[] NOT NULL,
  sharding_attributes text[] NOT NULL,
  asset_attribute text,
  asset_constant text,
  scale integer NOT NULL CHECK (scale BETWEEN 0 AND 18),
  keeps_balance boolean NOT NULL,
  retention interval NOT NULL,
  redefinition integer NOT NULL DEFAULT 0,
  kept_since timestamptz NOT NULL DEFAULT '-infinity',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((asset_attribute IS NULL) <> (asset_constant IS NULL))
);
COMMENT ON COLUMN account_types.key_attributes IS 'Name and kind of each, in order: "client_id integer".';
COMMENT ON COLUMN account_types.keeps_balance IS 'A balance is stored with each account. Once true it stays so, or it would miss events.';
COMMENT ON COLUMN account_types.redefinition IS 'Counts the changes that stored accounts would forbid, made while there were none. Who knows another one does not write.';
COMMENT ON COLUMN account_types.kept_since IS 'Events that were written before this may have been dropped.';

-- Ids are handed out in blocks: a writer takes one number, and with it that id and the 999 after it.
CREATE SEQUENCE account_id_blocks INCREMENT BY 1000 CACHE 1;
CREATE SEQUENCE subaccount_id_blocks INCREMENT BY 1000 CACHE 1;

CREATE TABLE accounts (
  account_id bigint NOT NULL PRIMARY KEY,
  type_id integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  asset text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT accounts_by_key UNIQUE (type_id, key)
);

-- An account and one combination of its auxiliary attributes: where amounts are kept.
CREATE TABLE subaccounts (
  subaccount_id bigint NOT NULL PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES accounts (account_id),
  attributes text COLLATE "C" NOT NULL,
  CONSTRAINT subaccounts_by_attributes UNIQUE (account_id, attributes)
);

-- The balance (credits - debits) of each account of a type with keeps_balance. Its row lock is what keeps an account
-- within its limits. Updated in place, often.
CREATE TABLE account_balances (
  account_id bigint NOT NULL PRIMARY KEY REFERENCES accounts (account_id),
  balance numeric NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Append-only. Parted by type, so that each has its own retention, and then by the id of the batch, which grows with time
-- and, unlike a clock, cannot lie.
CREATE TABLE events (
  batch_id bigint NOT NULL,
  subaccount_id bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  ordinal integer NOT NULL CHECK (ordinal > 0),
  type_id integer NOT NULL,
  is_credit boolean NOT NULL,
  is_balanced boolean NOT NULL,
  amount numeric NOT NULL CHECK (amount > 0),
  balance_after numeric,
  info text,
  PRIMARY KEY (batch_id, ordinal, type_id)
) PARTITION BY LIST (type_id);
CREATE INDEX events_by_time ON events (subaccount_id, occurred_at);
COMMENT ON COLUMN events.is_balanced IS 'Written by a request whose debits and credits were demanded to be equal, per asset.';
COMMENT ON COLUMN events.balance_after IS 'The balance of the account after this event, where the type keeps one.';

-- Sums per accounting day, month and year, kept by the aggregation. A month and a year are named by their first day.
CREATE TABLE turnovers_day (
  subaccount_id bigint NOT NULL,
  day date NOT NULL,
  debit numeric NOT NULL,
  credit numeric NOT NULL,
  PRIMARY KEY (subaccount_id, day)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE turnovers_month (
  subaccount_id bigint NOT NULL,
  month date NOT NULL,
  debit numeric NOT NULL,
  credit numeric NOT NULL,
  PRIMARY KEY (subaccount_id, month)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE TABLE turnovers_year (
  subaccount_id bigint NOT NULL,
  year date NOT NULL,
  debit numeric NOT NULL,
  credit numeric NOT NULL,
  PRIMARY KEY (subaccount_id, year)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- Which batches the aggregation has not added up yet: all ids from some point on, and gaps before it. A question about a
-- balance adds the events of these batches itself, in the snapshot in which it reads this row.
CREATE TABLE aggregation (
  only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  pending int8multirange NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO aggregation (pending)
  SELECT int8multirange(int8range(scanned_to + 1, NULL))
    + coalesce((SELECT range_agg(int8range(gap, gap, '[]')) FROM unnest(gaps) AS gap), '{}') FROM sequencer;
INSERT INTO cursors (consumer, seq) SELECT 'aggregation', last_seq FROM sequencer;

-- Credits - debits of all events of balanced requests, per asset: zero, always.
CREATE TABLE imbalances (
  asset text COLLATE "C" NOT NULL PRIMARY KEY,
  amount numeric NOT NULL
);

-- The requests that were accepted, by the id that their callers gave them. Kept in epochs, each a partition: dropping one
-- costs nothing. A request's answer is in its events.
CREATE TABLE write_requests (
  batch_id bigint NOT NULL,
  first_ordinal integer NOT NULL,
  events integer NOT NULL,
  epoch integer NOT NULL,
  fingerprint bytea NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  CONSTRAINT write_requests_by_id PRIMARY KEY (request_id, epoch)
) PARTITION BY RANGE (epoch);
CREATE TABLE write_request_epoch (
  only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  epoch integer NOT NULL,
  oldest integer NOT NULL,
  began_at timestamptz NOT NULL
);
COMMENT ON COLUMN write_request_epoch.oldest IS 'The first epoch whose partition is still there.';
INSERT INTO write_request_epoch (epoch, oldest, began_at) VALUES (1, 0, clock_timestamp());
CREATE TABLE write_requests_0 PARTITION OF write_requests FOR VALUES FROM (0) TO (1);
CREATE TABLE write_requests_1 PARTITION OF write_requests FOR VALUES FROM (1) TO (2);
CREATE TABLE write_requests_2 PARTITION OF write_requests FOR VALUES FROM (2) TO (3);

-- Begins the next epoch of write_requests when the present one is as old as `retention`. Every writer holds the shared lock from before it looks
-- for a key until its commit, so no two write in different epochs at a time, and none misses another's key.
-- Answers whether it did. The lock's number spells "wreq"; whoever redefines an account type takes it as well.
CREATE FUNCTION advance_write_request_epoch(retention interval) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
  present integer;
BEGIN
  SELECT epoch INTO present FROM write_request_epoch WHERE began_at <= clock_timestamp() - retention FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM pg_advisory_xact_lock(2003985777);
  EXECUTE format('CREATE TABLE write_requests_%s (LIKE write_requests INCLUDING ALL)', present + 2);
  EXECUTE format('ALTER TABLE write_requests ATTACH PARTITION write_requests_%s FOR VALUES FROM (%s) TO (%s)',
    present + 2, present + 2, present + 3);
  UPDATE write_request_epoch SET epoch = present + 1, began_at = clock_timestamp();
  RETURN true;
END $$;

-- Drops the epochs before the last one: a key is kept for one retention at least and two at most. In a transaction of its
-- own, for writers must not wait while this waits for somebody who reads an old partition. Answers how many.
CREATE FUNCTION drop_write_request_epochs() RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
  present integer;
  first integer;
BEGIN
  SELECT epoch, oldest INTO present, first FROM write_request_epoch FOR NO KEY UPDATE;
  FOR old IN first .. present - 2 LOOP
    EXECUTE format('DROP TABLE write_requests_%s', old);
  END LOOP;
  IF first < present - 1 THEN
    UPDATE write_request_epoch SET oldest = present - 1;
  END IF;
  RETURN greatest(present - 1 - first, 0);
END $$;

-- Makes the partitions of a new account type.
CREATE FUNCTION add_event_partitions(of_type integer) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
  child text := format('events_%s', of_type);
  used bigint;
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL) PARTITION BY RANGE (batch_id)', child);
  EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES IN (%s)', child, of_type);
  INSERT INTO partitioned_tables (parent, width) VALUES (child, 1000000);
  SELECT last_value INTO used FROM batch_id_seq;
  PERFORM extend_partitions(child, used, 3);
END $$;

-- The events of a partition were all written before this.
ALTER TABLE partitions ADD COLUMN filled_at timestamptz;

-- Where a day begins: at its midnight or, where there is none or there are two, at what PostgreSQL takes for it.
CREATE FUNCTION day_start(day date, zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT day::timestamp AT TIME ZONE zone $$;

-- The day whose start is the last one not after the moment. That is the date on the wall, except about clock changes that
-- go back over a midnight.
CREATE FUNCTION accounting_day(moment timestamptz, zone text) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT (moment AT TIME ZONE zone)::date + CASE
    WHEN moment < (moment AT TIME ZONE zone)::date::timestamp AT TIME ZONE zone THEN -1
    WHEN moment >= ((moment AT TIME ZONE zone)::date + 1)::timestamp AT TIME ZONE zone THEN 1
    ELSE 0 END
$$;
