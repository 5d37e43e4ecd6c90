// Moves the cursor over what is delivered without a gap, keeps what was given up, drops the
// partitions of the outbox that lie wholly behind, and measures the lag. The SQL of the relay's
// writing side.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/postgres/connection.h"
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
  // How often the lag is measured, and the dead letters are counted.
  absl::Duration lag_interval = absl::Seconds(1);
};

class Cleaner {
 public:
  // `connection` moves the cursor, and was opened before any seq of the window was read. The
  // sequencer's commits are asynchronous: a crash of the server may take seqs back and give them to
  // other batches, and this process, which survives it, must not store one of before. A crash ends
  // every connection, so a cursor that goes through one that is still open is of the same life of
  // the server.
  Cleaner(const CleanerOptions& options, std::unique_ptr<postgres::Connection> connection,
          postgres::Pool& pool, DeliveryWindow& window, DeadLetterBox& dead_letters,
          RelayMetrics& metrics);

  // Works until `stop`, and then moves the cursor once more. The body of the cleaner's thread.
  void Run(runtime::StopSignal& stop);

  // Why the cursor can move no more, or OK. Thread-safe.
  absl::Status failure() const;

  // Each does one piece of the work.
  absl::Status MoveCursor();
  absl::StatusOr<int> DropPassedPartitions();
  static absl::Status MeasureLag(postgres::Pool& pool, RelayMetrics& metrics);

 private:
  void Log(std::string_view what, const absl::Status& status);

  const CleanerOptions options_;
  const std::unique_ptr<postgres::Connection> connection_;
  postgres::Pool& pool_;
  DeliveryWindow& window_;
  DeadLetterBox& dead_letters_;
  RelayMetrics& metrics_;
  int64_t stored_seq_;
  bool failing_ = false;

  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace saldo::retranslator
