// The types of locks and states that this server works with, of one database.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "server/keys/keyed_type_store.h"
#include "server/keys/keyed_types.h"
#include "server/keys/keyed_types_file.h"

namespace saldo::keys {

// Thread-safe.
class KeyedTypeRegistry final : public runtime::Service {
 public:
  // `pool` and `registry` outlive it.
  KeyedTypeRegistry(TypesFile file, std::vector<KeyedTypeUse> uses, postgres::Pool& pool,
                    metrics::Registry& registry);

  std::string_view name() const override { return "types of locks and states"; }
  // Needs the database. Reads the file and makes the database fit it; fails with all faults
  // (faults.h).
  absl::Status Start() override;
  void Stop() override {}

  // Reads the file again. The new types are handed out from then on; when anything is wrong, the
  // old ones stay, and each fault is logged. Takes as long as the database does, 30 seconds at
  // most.
  absl::Status Reload();
  // Whether the file could be loaded anew, by itself; a faulty one counts as refused, and each
  // fault is logged.
  absl::Status CheckFile() const;

  // Null before Start. A request takes it once and works with it to its end.
  std::shared_ptr<const KeyedTypes> current() const {
    absl::MutexLock lock(&mutex_);
    return current_;
  }

 private:
  absl::Status Load();

  const TypesFile file_;
  KeyedTypeStore store_;
  metrics::Counter& reloaded_;
  metrics::Counter& refused_;

  absl::Mutex load_mutex_;  // one load at a time
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(load_mutex_);
  std::shared_ptr<const KeyedTypes> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::keys
