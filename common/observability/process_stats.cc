#include "common/observability/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace saldo::metrics {
namespace {

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

double Number(absl::string_view text) {
  double number = 0;
  return absl::SimpleAtod(text, &number) ? number : 0;
}

double BootTimeSeconds() {
  const std::string stat = ReadFile("/proc/stat");
  for (absl::string_view line : absl::StrSplit(stat, '\n')) {
    if (absl::ConsumePrefix(&line, "btime ")) return Number(line);
  }
  return 0;
}

}  // namespace

ProcessStats ReadProcessStats() {
  const std::string stat = ReadFile("/proc/self/stat");
  // The program's name is in parentheses and may hold spaces: fields are counted after it.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(name_end + 1), ' ', absl::SkipEmpty());
  // proc(5) counts from 1 with the process id; fields[0] is its field 3, the state.
  const auto field = [&](size_t number) {
    return number - 3 < fields.size() ? Number(fields[number - 3]) : 0;
  };
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessStats stats;
  stats.cpu_seconds = (field(14) + field(15)) / ticks_per_second;
  stats.threads = field(20);
  stats.start_time_seconds = BootTimeSeconds() + field(22) / ticks_per_second;
  stats.virtual_bytes = field(23);
  stats.resident_bytes = field(24) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return stats;
}

double ReadOpenFds() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  double count = 0;
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) ++count;
  return count > 0 ? count - 1 : 0;  // without the one that reads the folder
}

double ReadMaxFds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace saldo::metrics
