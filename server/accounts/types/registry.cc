#include "server/accounts/types/registry.h"

#include <string>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "server/accounts/types/faults.h"
#include "server/accounts/types/types_file.h"

namespace saldo::accounts {
namespace {

constexpr absl::Duration kDatabaseTimeout = absl::Seconds(30);

metrics::Counter& ReloadCounter(metrics::Registry& registry, const std::string& result) {
  return registry.AddCounter("saldo_account_types_reloads_total",
                             "Times that the account types were to be read anew, on SIGHUP.",
                             {{"result", result}});
}

std::string FileOf(const LedgerConfig& config) {
  return config.types_file.empty() ? "built-in" : config.types_file;
}

// One line each: together they are hard to read.
void LogFaults(const char* event, const LedgerConfig& config, const absl::Status& status) {
  for (const std::string& fault : FaultsOf(status))
    log::Error(event, {{"file", FileOf(config)}, {"fault", fault}});
}

}  // namespace

AccountTypeRegistry::AccountTypeRegistry(LedgerConfig config, postgres::Pool& pool,
                                         metrics::Registry& registry,
                                         std::vector<AccountType> built_in)
    : config_(std::move(config)),
      built_in_(std::move(built_in)),
      store_(pool),
      reloaded_(ReloadCounter(registry, "ok")),
      refused_(ReloadCounter(registry, "refused")),
      count_(registry.AddGauge("saldo_account_types", "Account types that are configured.")) {}

absl::StatusOr<std::vector<AccountType>> AccountTypeRegistry::ReadFile(const LedgerConfig& config) {
  if (config.types_file.empty())
    return ParseTypes("built-in account types", std::string(DefaultTypesYaml()));
  return ReadTypes(config.types_file);
}

absl::Status AccountTypeRegistry::Start() {
  const CallContext context = CallContext::WithTimeout(kDatabaseTimeout);
  SALDO_RETURN_IF_ERROR(store_.FixTimeZone(context, config_.time_zone));
  if (absl::Status status = Load(ReadFile(config_)); !status.ok()) {
    LogFaults("account types not loaded", config_, status);
    return status;
  }
  log::Info("account types loaded",
            {{"file", FileOf(config_)}, {"types", current()->all().size()}});
  return absl::OkStatus();
}

absl::Status AccountTypeRegistry::Reload(
    const absl::StatusOr<std::vector<AccountType>>& configured) {
  const absl::Status status = Load(configured);
  if (!status.ok()) {
    refused_.Increment();
    LogFaults("account types not reloaded", config_, status);
    return status;
  }
  reloaded_.Increment();
  log::Info("account types reloaded",
            {{"file", FileOf(config_)}, {"types", current()->all().size()}});
  return absl::OkStatus();
}

absl::Status AccountTypeRegistry::Load(const absl::StatusOr<std::vector<AccountType>>& in_file) {
  absl::MutexLock loading(&load_mutex_);
  SALDO_ASSIGN_OR_RETURN(std::vector<AccountType> configured, in_file);
  SALDO_RETURN_IF_ERROR(CheckTopics(configured, built_in_));
  configured.insert(configured.end(), built_in_.begin(), built_in_.end());
  SALDO_RETURN_IF_ERROR(CheckRetention(configured, config_.idempotency_retention));
  SALDO_ASSIGN_OR_RETURN(std::vector<AccountType> types,
                         store_.Sync(CallContext::WithTimeout(kDatabaseTimeout), configured));
  count_.Set(static_cast<double>(types.size() - built_in_.size()));
  auto loaded = std::make_shared<const AccountTypes>(std::move(types));
  absl::MutexLock lock(&mutex_);
  current_ = std::move(loaded);
  return absl::OkStatus();
}

}  // namespace saldo::accounts
