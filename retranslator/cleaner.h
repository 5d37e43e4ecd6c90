// Moves the cursor over what is delivered without a gap, keeps what was given up, drops the
// partitions of the outbox that lie wholly behind, and measures the lag. The SQL of the relay's
// writing side.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/postgres/pool.h"
#include "common/runtime/stop_signal.h"
#include "retranslator/dead_letters.h"
#include "retranslator/delivery_window.h"
#include "retranslator/relay_metrics.h"

namespace saldo::retranslator {

struct CleanerOptions {
  // From one move of the cursor to the next: what a crash may send twice.
  absl::Duration interval = absl::Milliseconds(50);
  // How often passed partitions are looked for.
  absl::Duration drop_interval = absl::Seconds(10);
  // How often the lag is measured.
  absl::Duration lag_interval = absl::Seconds(1);
};

class Cleaner {
 public:
  Cleaner(const CleanerOptions& options, postgres::Pool& pool, DeliveryWindow& window,
          DeadLetterBox& dead_letters, RelayMetrics& metrics);

  // Works until `stop`, and then moves the cursor once more. The body of the cleaner's thread.
  void Run(runtime::StopSignal& stop);

  // Each does one piece of the work.
  absl::Status MoveCursor();
  absl::StatusOr<int> DropPassedPartitions();
  static absl::Status MeasureLag(postgres::Pool& pool, RelayMetrics& metrics);

 private:
  void Log(std::string_view what, const absl::Status& status);

  const CleanerOptions options_;
  postgres::Pool& pool_;
  DeliveryWindow& window_;
  DeadLetterBox& dead_letters_;
  RelayMetrics& metrics_;
  int64_t stored_seq_;
  bool failing_ = false;
};

}  // namespace saldo::retranslator
