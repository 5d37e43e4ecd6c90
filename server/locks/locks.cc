#include "server/locks/locks.h"

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace saldo::locks {
namespace {

// A release is remembered, and its repetition recognised, for a minute at least.
constexpr absl::Duration kIdle = absl::Minutes(2);
constexpr int64_t kChunk = 1'000;

}  // namespace

void Locks::AddTo(tasks::Kinds& kinds) {
  kinds.Add({.name = "lock_cleanup",
             .about = "removes what is left of locks that nobody uses",
             .schedule = "* * * * *",
             .handler = [this](tasks::TaskContext& task) -> absl::StatusOr<std::string> {
               std::atomic<int64_t> removed = 0;
               const auto clean = [&](size_t shard) -> absl::Status {
                 for (int64_t last = kChunk; last == kChunk; removed += last) {
                   SALDO_RETURN_IF_ERROR(task.context().Check());
                   SALDO_ASSIGN_OR_RETURN(
                       last, acquiring_.store(shard).RemoveIdle(task.context(), kIdle, kChunk));
                 }
                 return absl::OkStatus();
               };
               SALDO_RETURN_IF_ERROR(shards_.ForAll(clean));
               return absl::StrCat("removed ", removed.load());
             }});
}

}  // namespace saldo::locks
