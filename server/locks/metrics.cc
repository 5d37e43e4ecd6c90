#include "server/locks/metrics.h"

#include "common/rpc/errors.h"
#include "google/rpc/error_details.pb.h"

namespace saldo::locks {

void LockMetrics::CountRefusal(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const std::string reason =
      rpc::GetDetail(status, &info) ? info.reason() : absl::StatusCodeToString(status.code());
  registry_
      .AddCounter("saldo_locks_refused_total",
                  "Calls of Acquire that were not granted, by the reason of their ErrorInfo or "
                  "their code.",
                  {{"reason", reason}})
      .Increment();
}

}  // namespace saldo::locks
