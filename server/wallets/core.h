// What the service of wallets and its jobs share: where a wallet is, what never changes about it,
// and the way to the writers.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/call_context.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/rpc/worker_pool.h"
#include "common/runtime/service.h"
#include "server/accounts/ledger.h"
#include "server/accounts/writing/writer.h"
#include "server/shards/shard_set.h"
#include "server/wallets/account_types.h"
#include "server/wallets/config.h"
#include "server/wallets/movements.h"
#include "server/wallets/part.h"
#include "server/wallets/store.h"
#include "server/wallets/transfer_counts.h"

namespace saldo::wallets {

// For whom something is done: valid as long as its call.
struct Caller {
  CallContext context;
  trace::SpanContext trace;
};

// Thread-safe. Its threads run what has to wait for the database before it can be written.
class WalletCore final : public runtime::Service {
 public:
  // All but `config` outlive it.
  WalletCore(const WalletsConfig& config, shards::ShardSet& shards, accounts::Ledger& ledger,
             metrics::Registry& registry);
  ~WalletCore() override { Stop(); }

  std::string_view name() const override { return "wallets"; }
  absl::Status Start() override;
  void Stop() override;

  shards::ShardSet& shards() { return shards_; }
  accounts::BalanceReader& reader(size_t shard) { return ledger_.reader(shard); }
  WalletStore& store(size_t shard) { return *stores_[shard]; }
  size_t ShardOf(std::string_view wallet_id) const { return shards_.map().Of(wallet_id); }
  int scale() const { return config_.scale; }

  // Of the shard's database. UNAVAILABLE while it is away.
  absl::StatusOr<WalletTypes> Types(size_t shard) const;

  // Makes a request for the shard's writer. Called at once, on this thread.
  using Make = absl::FunctionRef<accounts::WriteRequest(const MovementContext&)>;
  // Has the shard's writer do it. `done` is called once, by any thread, and must not block.
  void Write(size_t shard, const Caller& caller, Make make, accounts::Writer::Done done);

  // The currencies of wallets, in their order. NOT_FOUND WALLET_NOT_FOUND.
  using Currencies = std::vector<std::string>;
  // `then` is called on this thread when they are in memory, else by a thread of this class.
  void WithCurrencies(std::vector<std::string> wallet_ids, const CallContext& context,
                      absl::AnyInvocable<void(absl::StatusOr<Currencies>)> then);
  // The same at once, which may wait for the database.
  absl::StatusOr<Currencies> ReadCurrencies(const std::vector<std::string>& wallet_ids,
                                            const CallContext& context);

  // Has a thread of this class run `work`, which may wait for the database. RESOURCE_EXHAUSTED with
  // RetryInfo when too much waits; `work` is then not called.
  absl::Status Post(absl::AnyInvocable<void()> work);

 private:
  std::optional<Currencies> KnownCurrencies(const std::vector<std::string>& wallet_ids) const;
  void Learn(const std::vector<WalletStore::Currency>& currencies);

  const WalletsConfig config_;
  shards::ShardSet& shards_;
  accounts::Ledger& ledger_;
  TransferCounts counts_;
  const WalletPart part_;
  std::vector<std::unique_ptr<WalletStore>> stores_;

  mutable absl::Mutex mutex_;
  // By wallet_id. Forgotten as a whole when there are too many.
  absl::flat_hash_map<std::string, std::string> currencies_ ABSL_GUARDED_BY(mutex_);

  rpc::WorkerPool workers_;
};

}  // namespace saldo::wallets
