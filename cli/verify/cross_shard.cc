#include "cli/verify/cross_shard.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/verify/store.h"
#include "common/base/decimal.h"
#include "common/base/status_macros.h"
#include "common/postgres/result.h"

namespace saldo::cli::verify {
namespace {

using postgres::Result;

struct AssetSum {
  int64_t events = 0;
  Decimal total;
  bool exact = true;  // false: beyond what a Decimal holds, so surely not zero
  std::vector<std::string> parts;
};

void AddTotal(const std::string& shard, const AssetTotal& part, AssetSum* sum) {
  sum->events += part.events;
  sum->parts.push_back(absl::StrCat("shard ", shard, " ", part.total));
  const absl::StatusOr<Decimal> amount = Decimal::Parse(part.total);
  if (!amount.ok() || !Decimal::Add(sum->total, *amount, &sum->total)) sum->exact = false;
}

// Money that one shard shows as made is missing on another, or was made.
std::vector<CheckResult> CheckTotals(const std::vector<ShardFacts>& shards) {
  std::map<std::string, AssetSum> sums;
  for (const ShardFacts& shard : shards) {
    for (const AssetTotal& total : shard.totals) AddTotal(shard.shard, total, &sums[total.asset]);
  }
  std::vector<CheckResult> results;
  if (sums.empty()) {
    results.push_back(
        {.name = "balanced", .unit = "events", .type = "", .finding = {}, .took = {}});
  }
  for (const auto& [asset, sum] : sums) {
    CheckResult result{
        .name = "balanced", .unit = "events", .type = asset, .finding = {}, .took = {}};
    result.finding.checked = sum.events;
    if (!sum.exact || !sum.total.IsZero()) {
      result.finding.wrong = 1;
      result.finding.first = absl::StrCat("over all shards balanced events make ",
                                          sum.exact ? sum.total.ToString() : "too much to add up",
                                          ", not 0: ", absl::StrJoin(sum.parts, ", "));
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace

absl::StatusOr<ShardFacts> ReadFacts(postgres::Transaction& tx, const std::string& shard) {
  ShardFacts facts{.shard = shard, .totals = {}};
  SALDO_ASSIGN_OR_RETURN(Result result, tx.Query(BalancedTotals()));
  SALDO_ASSIGN_OR_RETURN(const auto rows,
                         (std::move(result).As<std::string, int64_t, std::string>()));
  for (const auto& [asset, events, total] : rows) facts.totals.push_back({asset, events, total});
  return facts;
}

std::vector<CheckResult> CheckOverAll(const std::vector<ShardFacts>& shards) {
  return CheckTotals(shards);
}

}  // namespace saldo::cli::verify
