-- The types of locks and of states as they were last configured, so that a change that would break stored data can be refused.
CREATE TABLE keyed_types (
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('lock', 'state')),
  name text COLLATE "C" NOT NULL,
  key_attributes text[] NOT NULL,
  sharding_attributes text[] NOT NULL,
  redefinition integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, name)
);
COMMENT ON COLUMN keyed_types.key_attributes IS 'Name and kind of each, in order: "client_id integer".';
COMMENT ON COLUMN keyed_types.redefinition IS 'Counts the changes of key and sharding, made while nothing was stored. Who knows another one does not write.';
