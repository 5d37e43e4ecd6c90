// Where CPU time and memory went, from /proc.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "bench/stack.h"

namespace saldo::bench {

// CPU seconds used so far, by "process/thread" and the thread's or process's id. What has ended is
// missing, so take one before the end.
using CpuTimes = std::map<std::pair<std::string, pid_t>, double>;

// Adds the threads of a process under `name`.
void AddThreads(const std::string& name, pid_t pid, CpuTimes* times);
// Adds the processes of PostgreSQL, by what they do.
void AddPostgres(Stack& stack, CpuTimes* times);

// This process, PostgreSQL and Kafka.
CpuTimes ServerCpu(Stack& stack);

// The largest differences, for a verbose run. Threads and backends that do the same work are one
// line.
std::string CpuTable(const CpuTimes& before, const CpuTimes& after, double wall_seconds);

// The most memory that the process has ever held, in MiB.
absl::StatusOr<double> PeakRssMb(pid_t pid);

}  // namespace saldo::bench
