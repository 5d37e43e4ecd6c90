// Tasks as the command line reads and adds them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"

namespace saldo::cli::task {

struct Kind {
  std::string kind;
  std::string about;
  std::string schedule;  // empty: none
  int32_t max_attempts;
  absl::Duration timeout;
};

struct Task {
  int64_t id;
  std::string kind;
  std::string key;
  std::string payload;
  std::string state;
  absl::Time run_at;
  int32_t attempts;
  int32_t max_attempts;
  std::string last_error;
  std::string result;
  absl::Time created_at;
  std::optional<absl::Time> started_at;
  std::optional<absl::Time> finished_at;
  std::string runner;

  bool finished() const { return finished_at.has_value(); }
};

// Empty: all.
struct Filter {
  std::string kind;
  std::string state;
};

struct Added {
  int64_t id;
  // As enqueue_task in migrations/0004_tasks.sql tells.
  enum class Outcome { kMade, kWaits, kDiffers } outcome;
};

// By name.
absl::StatusOr<std::vector<Kind>> ReadKinds(postgres::Connection& connection,
                                            const CallContext& context);
// The newest first.
absl::StatusOr<std::vector<Task>> ReadTasks(postgres::Connection& connection,
                                            const CallContext& context, const Filter& filter,
                                            int64_t limit);
// NOT_FOUND when there is none.
absl::StatusOr<Task> ReadTask(postgres::Connection& connection, const CallContext& context,
                              int64_t id);
absl::StatusOr<Added> Add(postgres::Connection& connection, const CallContext& context,
                          const std::string& kind, const std::string& key,
                          const std::string& payload);

}  // namespace saldo::cli::task
