#include "server/locks/config.h"

namespace saldo::locks {

void Bind(config::Binder& binder, LocksConfig& config) {
  binder.Int("workers", &config.workers, {.min = 1, .max = 64},
             "Calls of Acquire that are tried at once; others queue for a moment");
  binder.Int("waiting_max", &config.waiting_max, {.min = 0, .max = 100'000},
             "Calls of Acquire that may wait for a lock here at a time; more are refused");
}

}  // namespace saldo::locks
