// The kind of task that removes finished tasks.
#pragma once

#include "server/tasks/config.h"
#include "server/tasks/kinds.h"
#include "server/tasks/store.h"

namespace saldo::tasks {

// `store` outlives the kind.
Kind CleanupKind(const TasksConfig& config, TaskStore& store);

}  // namespace saldo::tasks
