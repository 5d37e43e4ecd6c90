#include "server/accounts/writing/config.h"

#include "server/accounts/writing/rules.h"

namespace saldo::accounts {

void Bind(config::Binder& binder, WriterOptions& options) {
  binder.Int("group_requests_max", &options.group_requests_max, {.min = 1, .max = 100'000},
             "The most requests that are committed together");
  binder.Int("group_events_max", &options.group_events_max, {.min = 1, .max = 1'000'000},
             "The most events that are committed together; a single request always fits");
  binder.Bytes("group_size_max", &options.group_bytes_max,
               {.min = config::kMiB, .max = 256 * config::kMiB},
               "The most memory of requests that are committed together; one always fits");
  binder.Int("queue_requests_max", &options.queue_requests_max, {.min = 1, .max = 1'000'000},
             "Requests that may wait; more are refused at once");
  binder.Int("queue_events_max", &options.queue_events_max, {.min = kEventsMax, .max = 10'000'000},
             "Events that may wait; more are refused at once");
  binder.Bytes("queue_size_max", &options.queue_bytes_max,
               {.min = config::kMiB, .max = 16 * config::kGiB},
               "Memory that requests which wait may take; more are refused at once");
  binder.Duration("commit_timeout", &options.commit_timeout,
                  {.min = absl::Milliseconds(100), .max = absl::Minutes(5)},
                  "How long one try to commit a batch may take");
  binder.Int("attempts_max", &options.attempts_max, {.min = 1, .max = 100},
             "How often a batch is tried when other servers get in its way");
  binder.Int("known_subaccounts_max", &options.known_subaccounts_max,
             {.min = 0, .max = 100'000'000},
             "Subaccounts whose ids are kept in memory, at about 200 bytes each");
}

}  // namespace saldo::accounts
