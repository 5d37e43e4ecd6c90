// The account types that this server works with.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "server/accounts/types/account_type.h"
#include "server/accounts/types/config.h"
#include "server/accounts/types/type_store.h"

namespace saldo::accounts {

// Thread-safe.
class AccountTypeRegistry final : public runtime::Service {
 public:
  // `built_in`: types of the program itself, besides those of the file. `pool` and `registry`
  // outlive it.
  AccountTypeRegistry(LedgerConfig config, postgres::Pool& pool, metrics::Registry& registry,
                      std::vector<AccountType> built_in = {});

  std::string_view name() const override { return "account types"; }
  // Needs the database. Reads the file and makes the database fit it; fails with all faults
  // (faults.h).
  absl::Status Start() override;
  void Stop() override {}

  // Reads the file again. The new types are handed out from then on; when anything is wrong, the
  // old ones stay, and each fault is logged. Takes as long as the database does, 30 seconds at
  // most.
  absl::Status Reload() { return Reload(ReadFile(config_)); }
  // The same with what ReadFile has answered, an error too: for several registries of one file.
  absl::Status Reload(const absl::StatusOr<std::vector<AccountType>>& configured);
  static absl::StatusOr<std::vector<AccountType>> ReadFile(const LedgerConfig& config);

  // Never null after Start. A request takes it once and works with it to its end.
  std::shared_ptr<const AccountTypes> current() const {
    absl::MutexLock lock(&mutex_);
    return current_;
  }

  const LedgerConfig& config() const { return config_; }

 private:
  absl::Status Load(const absl::StatusOr<std::vector<AccountType>>& in_file);

  const LedgerConfig config_;
  const std::vector<AccountType> built_in_;
  TypeStore store_;
  metrics::Counter& reloaded_;
  metrics::Counter& refused_;
  metrics::Gauge& count_;

  absl::Mutex load_mutex_;  // one load at a time
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(load_mutex_);
  std::shared_ptr<const AccountTypes> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::accounts
