// The pool's options as keys of a binary's configuration.
#pragma once

#include "common/config/binder.h"
#include "common/postgres/pool.h"

namespace saldo::postgres {

// The dsn has no default and so is required.
void Bind(config::Binder& binder, PoolOptions& options);

}  // namespace saldo::postgres
