#include "server/jobs/config.h"

namespace saldo::jobs {

void Bind(config::Binder& binder, JobsConfig& config) {
  binder.Section("sequencer", [&](config::Binder& b) {
    b.Bool("enabled", &config.sequencer_enabled,
           "Give committed batches their seq; one instance works, the others stand by");
    b.Duration("poll_interval", &config.sequencer.poll_interval,
               {.min = absl::Milliseconds(1), .max = absl::Seconds(10)},
               "How long a batch of another process may wait to be noticed");
    b.Duration("min_interval", &config.sequencer.min_interval,
               {.min = absl::Microseconds(100), .max = absl::Seconds(1)},
               "The least time between two passes");
    b.Int("batch_limit", &config.sequencer.batch_limit, {.min = 1, .max = 100'000},
          "The most new batches of one pass");
    b.Duration("takeover_interval", &config.sequencer.takeover_interval,
               {.min = absl::Milliseconds(10), .max = absl::Minutes(1)},
               "How often a stand-by tries to take over");
  });
  binder.Section("partitions", [&](config::Binder& b) {
    b.Bool("enabled", &config.partitions_enabled,
           "Make partitions ahead of use and drop those that were read");
    b.Duration("interval", &config.partitions.interval,
               {.min = absl::Milliseconds(100), .max = absl::Hours(1)}, "From run to run");
    b.Int("ahead", &config.partitions.ahead, {.min = 1, .max = 100},
          "Empty partitions to keep ahead, of a million ids each");
  });
}

}  // namespace saldo::jobs
