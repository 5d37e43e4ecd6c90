// The configuration sections of logs and of the operators' HTTP endpoints. Traces are configured by
// the standard variables, see tracing.h.
#pragma once

#include "common/config/binder.h"
#include "common/observability/http_server.h"
#include "common/observability/log.h"

namespace saldo::log {

// level, format.
void Bind(config::Binder& binder, Options& options);

}  // namespace saldo::log

namespace saldo::http {

// address, port. The default port is the one in `options`: each program has its own.
void Bind(config::Binder& binder, HttpOptions& options);

}  // namespace saldo::http
