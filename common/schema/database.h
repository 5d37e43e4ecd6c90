// A program's database as one of its parts.
#pragma once

#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "common/postgres/pool.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"

namespace saldo::schema {

class Database final : public runtime::Service {
 public:
  // `pause` waits while the database is away; false ends the start. Empty: until Interrupt.
  Database(postgres::Pool& pool, absl::Duration start_timeout,
           std::function<bool(absl::Duration)> pause)
      : pool_(pool), start_timeout_(start_timeout), pause_(std::move(pause)) {}

  std::string_view name() const override { return "database"; }
  // Returns once the database answers and its schema fits this program; see AwaitCurrent.
  absl::Status Start() override;
  // Closes the pool.
  void Stop() override;
  // Ends a Start that waits in another thread.
  void Interrupt() { stop_.Stop(); }

 private:
  postgres::Pool& pool_;
  const absl::Duration start_timeout_;
  const std::function<bool(absl::Duration)> pause_;
  runtime::StopSignal stop_;
};

}  // namespace saldo::schema
