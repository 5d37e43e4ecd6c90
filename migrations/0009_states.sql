-- States: a JSON document per type and key, as StateService keeps them. A key is one text, as in accounts. The document is
-- not jsonb, for what was put is what is got.
CREATE TABLE states (
  type text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  document text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (type, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON COLUMN states.version IS 'The batch that wrote this document.';
