#include "server/accounts/aggregation/config.h"

namespace saldo::accounts {

void Bind(config::Binder& binder, AggregationConfig& config) {
  AggregationOptions& options = config.options;
  binder.Bool("enabled", &config.enabled,
              "Add up turnovers by day, month and year; instances take turns");
  binder.Duration("interval", &options.interval,
                  {.min = absl::Milliseconds(10), .max = absl::Minutes(1)},
                  "From run to run; balances are exact meanwhile, but slower to read");
  binder.Int("batch_limit", &options.batch_limit, {.min = 1, .max = 100'000},
             "The most batches of one run");
  binder.Int("event_limit", &options.event_limit, {.min = 1, .max = 10'000'000},
             "The most events of one run, but for its last batch");
  binder.Float("share", &options.share, {.min = 0.01, .max = 1},
               "The part of its time that it may work, so that writes are not slowed down");
  binder.Duration("lag_max", &options.lag_max, {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
                  "Above this lag it works all the time");
}

void Bind(config::Binder& binder, EventRetentionConfig& config) {
  EventRetentionOptions& options = config.options;
  binder.Bool("enabled", &config.enabled,
              "Make partitions of events ahead, and drop them after their type's retention");
  binder.Duration("interval", &options.interval,
                  {.min = absl::Milliseconds(100), .max = absl::Hours(1)}, "From run to run");
  binder.Int("ahead", &options.ahead, {.min = 1, .max = 100},
             "Empty partitions to keep ahead, for each account type");
}

}  // namespace saldo::accounts
