#include "server/tasks/cleanup.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace saldo::tasks {
namespace {

constexpr int64_t kChunk = 1'000;

}  // namespace

Kind CleanupKind(const TasksConfig& config, TaskStore& store) {
  Kind kind;
  kind.name = "task_cleanup";
  kind.about = "removes tasks that finished long ago";
  kind.schedule = "17 * * * *";
  kind.handler = [keep = config.keep, keep_count = config.keep_count,
                  &store](TaskContext& task) -> absl::StatusOr<std::string> {
    int64_t removed = 0;
    for (int64_t last = kChunk; last == kChunk;) {
      SALDO_RETURN_IF_ERROR(task.context().Check());
      SALDO_ASSIGN_OR_RETURN(last, store.Remove(task.context(), keep, keep_count, kChunk));
      removed += last;
      task.SetProgress(absl::StrCat("removed ", removed, " so far"));
    }
    return absl::StrCat("removed ", removed);
  };
  return kind;
}

}  // namespace saldo::tasks
