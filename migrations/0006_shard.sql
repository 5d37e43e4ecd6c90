-- Which shard this database is: which part of the hashes of sharding keys it holds. Stored by the first start of a server, and
-- never changed: what is stored would be looked for elsewhere.
CREATE TABLE shard (
  only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
  name text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9_-]{1,32}$'),
  range_first text COLLATE "C" NOT NULL CHECK (range_first ~ '^[0-9a-f]{16}$'),
  range_last text COLLATE "C" NOT NULL CHECK (range_last ~ '^[0-9a-f]{16}$'),
  CHECK (range_first <= range_last)
);
COMMENT ON COLUMN shard.range_first IS 'The first and the last hash that belong here: the first 64 bits of a SHA-1, in hex.';
