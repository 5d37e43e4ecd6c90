// How locks are taken; the section `locks` of the configuration.
#pragma once

#include "common/config/binder.h"

namespace saldo::locks {

struct LocksConfig {
  int workers = 4;          // first tries of Acquire that run at once, each on a connection
  int waiting_max = 1'024;  // calls of Acquire that wait on this server; more are refused
};

void Bind(config::Binder& binder, LocksConfig& config);

}  // namespace saldo::locks
