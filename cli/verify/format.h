// What `saldo verify` prints.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/verify/store.h"

namespace saldo::cli::verify {

struct CheckResult {
  std::string_view name;
  std::string_view unit;
  std::string type;  // empty: the whole ledger; of all shards together: the asset
  Finding finding;
  absl::Duration took;
};

// "days of wallet"
std::string Title(std::string_view check, std::string_view type);

std::string HeadText(const Ledger& ledger);
inline constexpr size_t kTitleWidth = 28;

// One line, and a second one with the first difference. Titles are filled up to `width`.
std::string ResultText(const CheckResult& result, size_t width = kTitleWidth);
// `stopped`: at the first difference, so that not all checks were made.
std::string SummaryText(const std::vector<CheckResult>& results, bool stopped);
// All of the above for programs.
std::string ReportJson(const Ledger& ledger, const std::vector<CheckResult>& results, bool stopped);

// What was found on one of several shards.
struct ShardReport {
  std::string shard;
  absl::Status status;  // why it could not be told
  Ledger ledger;
  std::vector<CheckResult> results;
};

// The end of a report on several shards. `over_all` are the results over all of them together, if
// these could be told.
std::string SummaryText(const std::vector<ShardReport>& shards,
                        const std::optional<std::vector<CheckResult>>& over_all, bool stopped);
std::string ReportJson(const std::vector<ShardReport>& shards,
                       const std::optional<std::vector<CheckResult>>& over_all, bool stopped);

}  // namespace saldo::cli::verify
