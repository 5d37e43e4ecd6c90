// The writer's options as keys of a binary's configuration.
#pragma once

#include "common/config/binder.h"
#include "server/accounts/writing/writer.h"

namespace saldo::accounts {

void Bind(config::Binder& binder, WriterOptions& options);

}  // namespace saldo::accounts
