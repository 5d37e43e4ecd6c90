-- Accounts with limits of their own, which are opened and closed: wallets.
ALTER TABLE account_balances ADD COLUMN min_balance numeric;
ALTER TABLE account_balances ADD COLUMN closed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN account_balances.min_balance IS 'The limit of this account; NULL where that of its type holds.';
COMMENT ON COLUMN account_balances.closed IS 'No more events are taken.';
