#include "server/wallets/core.h"

#include <map>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/wallets/errors.h"

namespace saldo::wallets {
namespace {

constexpr absl::Duration kRetryDelay = absl::Milliseconds(200);

class Work final : public rpc::WorkerPool::Task {
 public:
  explicit Work(absl::AnyInvocable<void()> work) : work_(std::move(work)) {}
  void Run() override {
    const std::unique_ptr<Work> self(this);
    work_();
  }

 private:
  absl::AnyInvocable<void()> work_;
};

}  // namespace

WalletCore::WalletCore(const WalletsConfig& config, shards::ShardSet& shards,
                       accounts::Ledger& ledger, metrics::Registry& registry)
    : config_(config),
      shards_(shards),
      ledger_(ledger),
      counts_(registry),
      part_(config.topic, counts_),
      workers_(static_cast<size_t>(config.queue_capacity)) {
  for (size_t i = 0; i < shards.size(); ++i)
    stores_.push_back(std::make_unique<WalletStore>(shards.pool(i)));
}

absl::Status WalletCore::Start() {
  workers_.Start(config_.workers, "wallets");
  return absl::OkStatus();
}

void WalletCore::Stop() { workers_.Stop(); }

absl::StatusOr<WalletTypes> WalletCore::Types(size_t shard) const {
  SALDO_RETURN_IF_ERROR(shards_.Check(shard));
  return WalletTypes::Of(ledger_.types(shard));
}

void WalletCore::Write(size_t shard, const Caller& caller, Make make, accounts::Writer::Done done) {
  const absl::StatusOr<WalletTypes> types = Types(shard);
  if (!types.ok()) return done(types.status());
  ledger_.writer(shard).Submit(
      make({.types = *types, .part = part_, .now = absl::Now()}), caller.context, caller.trace,
      [this, shard, done = std::move(done)](absl::StatusOr<accounts::Written> written) mutable {
        if (!written.ok()) written = shards_.Named(shard, written.status());
        done(std::move(written));
      });
}

void WalletCore::WithCurrencies(std::vector<std::string> wallet_ids, const CallContext& context,
                                absl::AnyInvocable<void(absl::StatusOr<Currencies>)> then) {
  if (std::optional<Currencies> known = KnownCurrencies(wallet_ids); known.has_value())
    return then(*std::move(known));
  // Shared, for Post may refuse the work that it was moved into.
  const auto shared =
      std::make_shared<absl::AnyInvocable<void(absl::StatusOr<Currencies>)>>(std::move(then));
  const absl::Status posted = Post([this, shared, context, ids = std::move(wallet_ids)] {
    absl::Status status = context.Check();
    (*shared)(status.ok() ? ReadCurrencies(ids, context) : status);
  });
  if (!posted.ok()) (*shared)(posted);
}

absl::StatusOr<WalletCore::Currencies> WalletCore::ReadCurrencies(
    const std::vector<std::string>& wallet_ids, const CallContext& context) {
  if (std::optional<Currencies> known = KnownCurrencies(wallet_ids); known.has_value())
    return *std::move(known);
  std::map<size_t, std::vector<std::string>> by_shard;
  for (const std::string& id : wallet_ids) by_shard[ShardOf(id)].push_back(id);
  std::map<std::string, std::string> found;
  for (const auto& [shard, ids] : by_shard) {
    SALDO_RETURN_IF_ERROR(shards_.Check(shard));
    const auto currencies = stores_[shard]->Currencies(context, ids);
    if (!currencies.ok()) return shards_.Named(shard, currencies.status());
    for (const WalletStore::Currency& one : *currencies) found[one.wallet_id] = one.currency;
    Learn(*currencies);
  }
  Currencies result;
  for (const std::string& id : wallet_ids) {
    const auto currency = found.find(id);
    if (currency == found.end()) return WalletNotFound(id);
    result.push_back(currency->second);
  }
  return result;
}

std::optional<WalletCore::Currencies> WalletCore::KnownCurrencies(
    const std::vector<std::string>& wallet_ids) const {
  Currencies currencies;
  currencies.reserve(wallet_ids.size());
  absl::ReaderMutexLock lock(&mutex_);
  for (const std::string& id : wallet_ids) {
    const auto found = currencies_.find(id);
    if (found == currencies_.end()) return std::nullopt;
    currencies.push_back(found->second);
  }
  return currencies;
}

void WalletCore::Learn(const std::vector<WalletStore::Currency>& currencies) {
  absl::MutexLock lock(&mutex_);
  // What is needed again is looked up again.
  if (currencies_.size() + currencies.size() > static_cast<size_t>(config_.known_wallets_max))
    currencies_.clear();
  if (currencies.size() > static_cast<size_t>(config_.known_wallets_max)) return;
  for (const WalletStore::Currency& one : currencies) currencies_[one.wallet_id] = one.currency;
}

absl::Status WalletCore::Post(absl::AnyInvocable<void()> work) {
  auto task = std::make_unique<Work>(std::move(work));
  if (!workers_.TryPost(task.get())) {
    return rpc::WithRetryInfo(
        absl::ResourceExhaustedError("too many calls wait for wallets to be looked up"),
        kRetryDelay);
  }
  task.release();
  return absl::OkStatus();
}

}  // namespace saldo::wallets
