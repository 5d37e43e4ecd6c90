// Gives committed batches their seq: gapless, monotonic, the only cursor that consumers use.
//
// One sequencer works on a database at a time; it holds a session advisory lock, and others stand
// by. A pass reads what is new, decides in memory (sequencing.h) and commits the seqs together with
// its own state, so a crash at any instant repeats or loses nothing. That commit is asynchronous:
// whoever acts on a seq stores a cursor later in the same WAL.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/observability/metrics.h"
#include "common/postgres/connection.h"
#include "common/runtime/service.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "server/jobs/sequencing.h"

namespace saldo::jobs {

struct SequencerOptions {
  // How long a batch of another process may wait to be noticed; batches of this process wake the
  // sequencer.
  absl::Duration poll_interval = absl::Milliseconds(10);
  // At least so long from pass to pass, so that a busy database gives a pass many batches: each
  // pass costs two round trips.
  absl::Duration min_interval = absl::Milliseconds(2);
  // The most new batches of one pass.
  int batch_limit = 10'000;
  // How often a stand-by tries to take over.
  absl::Duration takeover_interval = absl::Milliseconds(500);
};

class Sequencer : public runtime::Service {
 public:
  Sequencer(const SequencerOptions& options, postgres::ConnectionOptions connection,
            metrics::Registry& registry);
  ~Sequencer() override { Stop(); }

  std::string_view name() const override { return "sequencer"; }
  absl::Status Start() override;
  void Stop() override;

  // A batch was committed in this process. Thread-safe, never waits.
  void Wake() { stop_.Wake(); }
  // Whether this one holds the lock.
  bool active() const { return active_.load(std::memory_order_relaxed); }

 private:
  void Run();
  // Holds the lock and makes passes until something fails or a stop.
  absl::Status Work();
  absl::StatusOr<bool> TryLock(postgres::Connection& connection);
  absl::StatusOr<Sequencing> Load(postgres::Connection& connection);
  absl::StatusOr<Observation> Observe(postgres::Connection& connection,
                                      const Sequencing& sequencing);
  // True when it gave out seqs.
  absl::StatusOr<bool> Pass(postgres::Connection& connection, Sequencing* sequencing);
  // Answers the xid of the transaction that stored it.
  absl::StatusOr<uint64_t> Store(postgres::Connection& connection, const Sequencing& sequencing,
                                 const std::vector<SequencedBatch>& batches);

  const SequencerOptions options_;
  postgres::ConnectionOptions connection_options_;
  metrics::Gauge& active_gauge_;
  metrics::Gauge& last_seq_gauge_;
  metrics::Gauge& gaps_gauge_;
  metrics::Counter& batches_total_;
  metrics::Counter& failures_total_;
  metrics::Histogram& pass_seconds_;
  metrics::Histogram& delay_seconds_;

  std::atomic<bool> active_{false};
  int failures_ = 0;  // to reach the database, in a row; of the thread alone
  runtime::StopSignal stop_;
  runtime::StopSignal pause_;
  runtime::Thread thread_;
};

}  // namespace saldo::jobs
