// What `saldo verify` prints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "cli/verify/store.h"

namespace saldo::cli::verify {

struct CheckResult {
  std::string_view name;
  std::string_view unit;
  std::string type;  // empty: the whole ledger
  Finding finding;
  absl::Duration took;
};

// "days of wallet"
std::string Title(std::string_view check, std::string_view type);

std::string HeadText(const Ledger& ledger);
// One line, and a second one with the first difference.
std::string ResultText(const CheckResult& result);
// `stopped`: at the first difference, so that not all checks were made.
std::string SummaryText(const std::vector<CheckResult>& results, bool stopped);
// All of the above for programs.
std::string ReportJson(const Ledger& ledger, const std::vector<CheckResult>& results, bool stopped);

}  // namespace saldo::cli::verify
