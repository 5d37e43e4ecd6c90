// A migrated database of its own, and runners on it.
#pragma once

#include <memory>
#include <string>

#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "server/tasks/runner.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::tasks {

// Longer than anything a test waits for when all is well.
constexpr absl::Duration kPatience = absl::Seconds(30);

inline CallContext Soon() { return CallContext::WithTimeout(kPatience); }

class Database {
 public:
  std::string Query(const std::string& sql) const { return database_.Query(sql); }
  int64_t Number(const std::string& sql) const { return std::stoll(Query(sql)); }
  // The state of a task.
  std::string State(int64_t id) const {
    return Query("SELECT state FROM tasks WHERE id = " + std::to_string(id));
  }
  bool Becomes(int64_t id, const std::string& state) const {
    return testing::Eventually(kPatience, [&] { return State(id) == state; });
  }
  std::string dsn() const { return database_.dsn(); }

  metrics::Registry& registry() { return registry_; }
  TaskStore& store() { return store_; }

  int64_t Enqueue(const std::string& kind, const std::string& key = "",
                  const std::string& payload = "") {
    return store_.Enqueue(Soon(), {kind, key, payload, std::nullopt}).value().id;
  }

 private:
  testing::MigratedDatabase database_;
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = database_.dsn()}, .max_connections = 20}, registry_};
  TaskStore store_{pool_};
};

// A kind without a schedule.
inline Kind MakeKind(const std::string& name, Handler handler, int max_attempts = 3) {
  Kind kind;
  kind.name = name;
  kind.about = "for a test";
  kind.max_attempts = max_attempts;
  kind.handler = std::move(handler);
  return kind;
}

inline TasksConfig Fast() {
  TasksConfig config;
  config.poll_interval = absl::Milliseconds(20);
  config.retry_min = absl::Milliseconds(10);
  config.retry_max = absl::Milliseconds(50);
  // Or it would come in between once an hour.
  config.schedules = {{"task_cleanup", "off"}};
  return config;
}

// One program's runner.
struct Program {
  explicit Program(Database& database, const TasksConfig& config = Fast())
      : store(database.store()), runner(config, kinds, store, database.registry(), tracer) {}

  trace::Tracer tracer{nullptr, 0};
  Kinds kinds;
  TaskStore& store;
  Runner runner;
};

}  // namespace saldo::tasks
