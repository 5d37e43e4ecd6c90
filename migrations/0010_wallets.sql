-- Wallets, what is set aside in them, and transfers between shards. The money itself is in the ledger: accounts of the types
-- saldo_wallet and saldo_wallet_contra. These tables hold what the ledger has no words for, and are written in the
-- transaction of the events that they belong to.
CREATE TABLE wallets (
  wallet_id text COLLATE "C" NOT NULL PRIMARY KEY,
  currency text COLLATE "C" NOT NULL,
  external_id text,
  overdraft_limit numeric NOT NULL CHECK (overdraft_limit >= 0),
  created_at timestamptz NOT NULL,
  closed_at timestamptz
);
CREATE INDEX wallets_by_currency ON wallets (currency, wallet_id);
COMMENT ON COLUMN wallets.wallet_id IS 'Made of the external_id or, without one, of the request_id: so both are unique over all shards.';

-- An amount that is set aside: the account of kind hold has it while the row is open. A row ends once.
CREATE TABLE wallet_holds (
  hold_id text COLLATE "C" NOT NULL PRIMARY KEY,
  wallet_id text COLLATE "C" NOT NULL,
  amount numeric NOT NULL CHECK (amount > 0),
  state text NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
  captured numeric CHECK (captured > 0 AND captured <= amount),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  CHECK ((state = 'captured') = (captured IS NOT NULL)),
  CHECK ((state = 'open') = (ended_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX wallet_holds_open ON wallet_holds (wallet_id, expires_at, hold_id) WHERE state = 'open';
CREATE INDEX wallet_holds_expiring ON wallet_holds (expires_at) WHERE state = 'open';

-- Transfers to wallets of other shards, on the payer's shard. While one is debited, the payer's account of kind transit has
-- its amount.
CREATE TABLE wallet_transfers_out (
  transfer_id text COLLATE "C" NOT NULL PRIMARY KEY,
  from_wallet_id text COLLATE "C" NOT NULL,
  to_wallet_id text COLLATE "C" NOT NULL,
  amount numeric NOT NULL CHECK (amount > 0),
  currency text COLLATE "C" NOT NULL,
  state text NOT NULL CHECK (state IN ('debited', 'settled', 'refunded')),
  refund_reason text,
  request_id text NOT NULL,
  description text NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  CHECK ((state = 'debited') = (ended_at IS NULL)),
  CHECK ((state = 'refunded') = (refund_reason IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX wallet_transfers_out_debited ON wallet_transfers_out (created_at, transfer_id) WHERE state = 'debited';
CREATE INDEX wallet_transfers_out_of_wallet ON wallet_transfers_out (from_wallet_id) WHERE state = 'debited';

-- What became of transfers from other shards, on the payee's shard. Each has one row, written once, so it is credited once,
-- or refused for good.
CREATE TABLE wallet_transfers_in (
  transfer_id text COLLATE "C" NOT NULL PRIMARY KEY,
  from_wallet_id text COLLATE "C" NOT NULL,
  to_wallet_id text COLLATE "C" NOT NULL,
  amount numeric NOT NULL CHECK (amount > 0),
  currency text COLLATE "C" NOT NULL,
  refused_reason text,
  created_at timestamptz NOT NULL
);
COMMENT ON COLUMN wallet_transfers_in.refused_reason IS 'NULL: it was credited.';
