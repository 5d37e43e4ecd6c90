#include "cli/output.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/observability/text.h"

namespace saldo::cli {

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i)
      absl::StrAppendFormat(&text, "%-*s  ", static_cast<int>(widths[i]), row[i]);
    absl::StrAppend(&text, row.empty() ? "" : row.back(), "\n");
  }
  return text;
}

std::string BytesText(int64_t bytes) {
  constexpr double kKiB = 1024.0;
  const auto size = static_cast<double>(bytes);
  if (size < kKiB * kKiB) return absl::StrFormat("%.0f KiB", size / kKiB);
  if (size < kKiB * kKiB * kKiB) return absl::StrFormat("%.1f MiB", size / (kKiB * kKiB));
  return absl::StrFormat("%.1f GiB", size / (kKiB * kKiB * kKiB));
}

std::string Quoted(std::string_view text) {
  std::string quoted;
  text::AppendJsonString(text, &quoted);
  return quoted;
}

}  // namespace saldo::cli
