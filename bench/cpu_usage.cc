#include "bench/cpu_usage.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/devstack/files.h"

namespace saldo::bench {
namespace {

namespace fs = std::filesystem;

struct Stat {
  std::string name;
  pid_t parent = 0;
  double cpu_seconds = 0;
};

// `folder` is /proc/<pid> or /proc/<pid>/task/<tid>.
std::optional<Stat> ReadStat(const std::string& folder) {
  const std::string text = devstack::ReadFile(folder + "/stat").value_or("");
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  // state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime
  const std::vector<std::string> fields = absl::StrSplit(text.substr(close + 2), ' ');
  Stat stat{.name = text.substr(open + 1, close - open - 1)};
  double user = 0, system = 0;
  if (fields.size() < 13 || !absl::SimpleAtoi(fields[1], &stat.parent) ||
      !absl::SimpleAtod(fields[11], &user) || !absl::SimpleAtod(fields[12], &system)) {
    return std::nullopt;
  }
  stat.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return stat;
}

std::vector<pid_t> NumbersIn(const std::string& folder) {
  std::vector<pid_t> numbers;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    pid_t number = 0;
    if (absl::SimpleAtoi(entry->path().filename().string(), &number)) numbers.push_back(number);
  }
  return numbers;
}

// "rpc-12" and "rpc-3" are the same work.
std::string WithoutNumber(std::string name) {
  while (!name.empty() && (absl::ascii_isdigit(static_cast<unsigned char>(name.back())) ||
                           name.back() == '-' || name.back() == '#')) {
    name.pop_back();
  }
  return name;
}

// "postgres: saldo drain 127.0.0.1(4711) idle" -> "backend", "postgres: walwriter" -> "walwriter".
std::string WorkOf(pid_t pid) {
  std::string title = devstack::ReadFile(absl::StrCat("/proc/", pid, "/cmdline")).value_or("");
  std::replace(title.begin(), title.end(), '\0', ' ');
  const std::vector<std::string> words = absl::StrSplit(title, ' ', absl::SkipEmpty());
  if (words.size() < 2 || words[0] != "postgres:") return "postmaster";
  if (words.size() < 4 || words[1] == "autovacuum" || words[1] == "logical") return words[1];
  return absl::StrCat("backend ", words[2]);
}

}  // namespace

void AddThreads(const std::string& name, pid_t pid, CpuTimes* times) {
  const std::string folder = absl::StrCat("/proc/", pid, "/task");
  for (const pid_t thread : NumbersIn(folder)) {
    const auto stat = ReadStat(absl::StrCat(folder, "/", thread));
    if (!stat.has_value()) continue;
    (*times)[{absl::StrCat(name, "/", WithoutNumber(stat->name)), thread}] = stat->cpu_seconds;
  }
}

void AddPostgres(Stack& stack, CpuTimes* times) {
  const pid_t postmaster = stack.postgres().process()->pid();
  for (const pid_t pid : NumbersIn("/proc")) {
    const auto stat = ReadStat(absl::StrCat("/proc/", pid));
    if (!stat.has_value() || (pid != postmaster && stat->parent != postmaster)) continue;
    (*times)[{"postgres/" + WorkOf(pid), pid}] = stat->cpu_seconds;
  }
}

CpuTimes ServerCpu(Stack& stack) {
  CpuTimes times;
  AddThreads("bench", getpid(), &times);
  AddThreads("kafka", stack.kafka().process()->pid(), &times);
  AddPostgres(stack, &times);
  return times;
}

std::string CpuTable(const CpuTimes& before, const CpuTimes& after, double wall_seconds) {
  constexpr double kWorthALine = 0.05;
  std::map<std::string, double> spent_by;
  double total = 0;
  for (const auto& [who, seconds] : after) {
    const auto earlier = before.find(who);
    const double spent = seconds - (earlier == before.end() ? 0 : earlier->second);
    spent_by[who.first] += spent;
    total += spent;
  }
  std::vector<std::pair<double, std::string>> used;
  for (const auto& [name, spent] : spent_by) {
    if (spent >= kWorthALine) used.emplace_back(spent, name);
  }
  std::sort(used.rbegin(), used.rend());
  std::string table = absl::StrFormat("  CPU seconds: %.2f in %.2f s\n", total, wall_seconds);
  for (const auto& [spent, name] : used)
    absl::StrAppendFormat(&table, "  %7.2f  %s\n", spent, name);
  return table;
}

absl::StatusOr<double> PeakRssMb(pid_t pid) {
  const std::string status =
      devstack::ReadFile(absl::StrCat("/proc/", pid, "/status")).value_or("");
  const size_t at = status.find("VmHWM:");
  double kib = 0;
  if (at == std::string::npos) return absl::NotFoundError(absl::StrCat("no process ", pid));
  const std::string line = status.substr(at + 6, status.find(" kB", at) - at - 6);
  if (!absl::SimpleAtod(line, &kib)) return absl::InternalError("no VmHWM in " + status);
  return kib / 1024;
}

}  // namespace saldo::bench
