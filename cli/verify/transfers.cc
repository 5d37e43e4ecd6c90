#include "cli/verify/transfers.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/postgres/result.h"

namespace saldo::cli::verify {
namespace {

using postgres::Result;
using postgres::Statement;

constexpr int32_t kPage = 5000;

// One side of a transfer: `state` is that of its shard. Both have the same columns.
struct Side {
  std::string id, from, to, amount, currency, state;
  bool Moves(const Side& other) const {
    return from == other.from && to == other.to && amount == other.amount &&
           currency == other.currency;
  }
};

#define SALDO_SIDE \
  "SELECT transfer_id, from_wallet_id, to_wallet_id, trim_scale(amount)::text, currency, "
#define SALDO_IN                                                         \
  SALDO_SIDE                                                             \
  "CASE WHEN refused_reason IS NULL THEN 'credited' ELSE 'refused' END " \
  "FROM wallet_transfers_in "
#define SALDO_OUT SALDO_SIDE "state FROM wallet_transfers_out "
constexpr Statement kCredits{"verify.transfer_credits", SALDO_IN
                             "WHERE transfer_id > $1 AND refused_reason IS NULL "
                             "ORDER BY transfer_id LIMIT $2"};
constexpr Statement kEnds{"verify.transfer_ends", SALDO_OUT
                          "WHERE transfer_id > $1 AND state <> 'debited' "
                          "ORDER BY transfer_id LIMIT $2"};
constexpr Statement kIn{"verify.transfers_in", SALDO_IN "WHERE transfer_id = ANY ($1::text[])"};
constexpr Statement kOut{"verify.transfers_out", SALDO_OUT "WHERE transfer_id = ANY ($1::text[])"};
#undef SALDO_IN
#undef SALDO_OUT
#undef SALDO_SIDE

absl::StatusOr<std::vector<Side>> ReadSides(Result result) {
  SALDO_ASSIGN_OR_RETURN(
      const auto rows,
      (std::move(result)
           .As<std::string, std::string, std::string, std::string, std::string, std::string>()));
  std::vector<Side> sides;
  for (const auto& [id, from, to, amount, currency, state] : rows)
    sides.push_back({id, from, to, amount, currency, state});
  return sides;
}

// What is wrong with a side and its counterpart, which may be null; empty when nothing is.
using Compare = std::string (*)(const Side& side, const Side* other);

std::string CompareCredit(const Side& credit, const Side* debit) {
  if (debit == nullptr) return "is credited, and was never debited";
  if (!credit.Moves(*debit)) {
    return absl::StrCat("credits ", credit.amount, " ", credit.currency, ", and debited ",
                        debit->amount, " ", debit->currency);
  }
  return debit->state == "refunded" ? "is credited, and was refunded as well" : "";
}

std::string CompareEnd(const Side& end, const Side* in) {
  const std::string expected = end.state == "settled" ? "credited" : "refused";
  if (in == nullptr) return absl::StrCat("is ", end.state, ", and was never ", expected);
  if (!end.Moves(*in)) {
    return absl::StrCat("debited ", end.amount, " ", end.currency, ", and is of ", in->amount, " ",
                        in->currency, " at the payee's");
  }
  return in->state == expected ? "" : absl::StrCat("is ", end.state, ", and was ", in->state);
}

// Goes through all rows of `pages` and asks for the counterpart of each.
struct Search {
  const Statement& pages;
  const Statement& counterpart;
  bool payer_has_it;  // the counterpart is on the payer's shard
  Compare compare;
};

absl::Status CheckPage(const std::vector<Side>& page, const Search& search,
                       const shards::ShardMap& map, AskLater later, Finding* finding) {
  std::map<size_t, std::vector<std::string>> by_shard;
  for (const Side& side : page)
    by_shard[map.Of(search.payer_has_it ? side.from : side.to)].push_back(side.id);
  std::map<std::string, Side> others;
  for (const auto& [shard, ids] : by_shard) {
    SALDO_ASSIGN_OR_RETURN(Result result, later(shard, search.counterpart, ids));
    SALDO_ASSIGN_OR_RETURN(std::vector<Side> found, ReadSides(std::move(result)));
    for (Side& other : found) others[other.id] = std::move(other);
  }
  for (const Side& side : page) {
    ++finding->checked;
    const auto other = others.find(side.id);
    const std::string wrong =
        search.compare(side, other == others.end() ? nullptr : &other->second);
    if (wrong.empty()) continue;
    if (++finding->wrong == 1) finding->first = absl::StrCat("transfer ", side.id, " ", wrong);
  }
  return absl::OkStatus();
}

absl::StatusOr<Finding> CheckAll(absl::Span<postgres::Transaction* const> snapshots,
                                 const Search& search, const shards::ShardMap& map,
                                 AskLater later) {
  Finding finding;
  for (postgres::Transaction* snapshot : snapshots) {
    std::string after;
    std::vector<Side> page;
    do {
      SALDO_ASSIGN_OR_RETURN(Result result, snapshot->Query(search.pages, after, kPage));
      SALDO_ASSIGN_OR_RETURN(page, ReadSides(std::move(result)));
      SALDO_RETURN_IF_ERROR(CheckPage(page, search, map, later, &finding));
      if (!page.empty()) after = page.back().id;
    } while (page.size() == static_cast<size_t>(kPage));
  }
  return finding;
}

}  // namespace

absl::StatusOr<Finding> CheckCredits(absl::Span<postgres::Transaction* const> snapshots,
                                     const shards::ShardMap& map, AskLater later) {
  return CheckAll(
      snapshots,
      {.pages = kCredits, .counterpart = kOut, .payer_has_it = true, .compare = CompareCredit}, map,
      later);
}

absl::StatusOr<Finding> CheckEnds(absl::Span<postgres::Transaction* const> snapshots,
                                  const shards::ShardMap& map, AskLater later) {
  return CheckAll(
      snapshots, {.pages = kEnds, .counterpart = kIn, .payer_has_it = false, .compare = CompareEnd},
      map, later);
}

}  // namespace saldo::cli::verify
