// The pool's options as keys of a binary's configuration.
#pragma once

#include "common/config/binder.h"
#include "common/postgres/pool.h"

namespace saldo::postgres {

// Whether the dsn, which has no default, must be given. Where it may be missing, shards::Bind tells
// when.
enum class Dsn { kRequired, kOptional };

void Bind(config::Binder& binder, PoolOptions& options, Dsn dsn = Dsn::kRequired);

}  // namespace saldo::postgres
