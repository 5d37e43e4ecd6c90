#include "cli/verify/shard_check.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/args.h"
#include "cli/verify/placement.h"
#include "common/base/status_macros.h"

namespace saldo::cli::verify {
namespace {

// Which types to go through: all, or the one that is named.
absl::StatusOr<std::vector<const LedgerType*>> Select(const Ledger& ledger,
                                                      const std::string& wanted) {
  std::vector<const LedgerType*> types;
  for (const LedgerType& type : ledger.types) {
    if (wanted.empty() || type.name == wanted) types.push_back(&type);
  }
  if (wanted.empty() || !types.empty()) return types;
  if (ledger.types.empty()) return UsageError("the ledger has no account types yet");
  return UsageError(absl::StrCat(
      "there is no account type '", wanted, "'; there are ",
      absl::StrJoin(ledger.types, ", ",
                    [](std::string* out, const LedgerType& type) { out->append(type.name); })));
}

}  // namespace

void Print(const VerifyOptions& options, const std::string& text) {
  if (options.json) return;
  absl::PrintF("%s", text);
  std::fflush(stdout);
}

ShardCheck::ShardCheck(const shards::ShardMap& map, size_t shard, const VerifyOptions& options)
    : map_(map), shard_(shard), options_(options), progress_(isatty(STDERR_FILENO) == 1) {
  report_.shard = map.name(shard);
}

absl::Status ShardCheck::Begin(postgres::Transaction& tx) {
  SALDO_ASSIGN_OR_RETURN(report_.ledger, TakeSnapshot(tx));
  SALDO_ASSIGN_OR_RETURN(types_, Select(report_.ledger, options_.type));
  for (const Check& check : Checks()) {
    if (check.scope == Scope::kLedger) continue;
    for (const LedgerType* type : types_) {
      if (check.scope == Scope::kType || type->keeps_balance)
        width_ = std::max(width_, Title(check.name, type->name).size());
    }
  }
  return absl::OkStatus();
}

absl::Status ShardCheck::Run(postgres::Transaction& tx) {
  Print(options_, HeadText(report_.ledger));
  for (const Check& check : Checks()) {
    if (check.all_types && !options_.type.empty()) continue;
    if (check.scope == Scope::kLedger) SALDO_RETURN_IF_ERROR(RunStatement(tx, check, nullptr));
    for (const LedgerType* type : types_) {
      if (check.scope == Scope::kLedger) break;
      if (check.scope == Scope::kTypeWithBalance && !type->keeps_balance) continue;
      SALDO_RETURN_IF_ERROR(RunStatement(tx, check, type));
    }
  }
  if (map_.size() == 1 || !options_.type.empty()) return absl::OkStatus();
  for (const Placed& placed : AllPlaced()) {
    SALDO_RETURN_IF_ERROR(
        RunOne({.name = placed.name, .unit = placed.unit, .type = "", .finding = {}, .took = {}},
               [&] { return CheckPlacement(tx, placed, map_, shard_); }));
  }
  return absl::OkStatus();
}

absl::Status ShardCheck::RunStatement(postgres::Transaction& tx, const Check& check,
                                      const LedgerType* type) {
  return RunOne({.name = check.name,
                 .unit = check.unit,
                 .type = type == nullptr ? "" : type->name,
                 .finding = {},
                 .took = {}},
                [&] { return verify::Run(tx, check, report_.ledger, type, options_.since); });
}

absl::Status ShardCheck::RunOne(CheckResult result,
                                absl::FunctionRef<absl::StatusOr<Finding>()> find_out) {
  if (stopped()) return absl::OkStatus();
  if (progress_) absl::FPrintF(stderr, "...    %s", Title(result.name, result.type));
  const absl::Time start = absl::Now();
  absl::StatusOr<Finding> finding = find_out();
  if (progress_) absl::FPrintF(stderr, "\r\x1b[K");
  SALDO_RETURN_IF_ERROR(finding.status());
  result.finding = *std::move(finding);
  result.took = absl::Now() - start;
  Print(options_, ResultText(result, width_));
  if (result.finding.wrong > 0) differs_ = true;
  report_.results.push_back(std::move(result));
  return absl::OkStatus();
}

}  // namespace saldo::cli::verify
