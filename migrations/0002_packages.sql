-- Packages: what LogisticPackageApiService keeps.
CREATE TABLE packages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 32),
  material text NOT NULL CHECK (char_length(material) BETWEEN 1 AND 32),
  maximum_volume real NOT NULL CHECK (maximum_volume > 0 AND maximum_volume < 'infinity'),
  reusable boolean NOT NULL,
  created timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated timestamptz
);

-- Ids of package events. Taken while the package's row is locked, so they grow with its history.
CREATE SEQUENCE package_event_id_seq;
