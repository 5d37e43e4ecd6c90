// What `saldo task` prints. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/task/store.h"

namespace saldo::cli::task {

// Tables.
std::string KindsText(const std::vector<Kind>& kinds);
std::string TasksText(const std::vector<Task>& tasks);
// All about one task, a line each.
std::string TaskText(const Task& task);

}  // namespace saldo::cli::task
