// The SQL of `saldo verify`: each check is one statement that goes through all it checks inside the
// database, and answers counts and the first difference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/postgres/statement.h"
#include "common/postgres/transaction.h"

namespace saldo::cli::verify {

struct LedgerType {
  int32_t type_id;
  std::string name;
  int32_t scale;
  bool keeps_balance;
  // The first day all of whose events are kept; "-infinity" when none was ever dropped.
  std::string whole_since;
};

struct Ledger {
  absl::Time snapshot_at;
  std::string time_zone;
  std::vector<LedgerType> types;  // by id
};

// What is checked for each type, or once for the whole ledger.
enum class Scope { kLedger, kType, kTypeWithBalance };

struct Check {
  std::string_view name;
  std::string_view unit;  // what is counted: "days"
  Scope scope;
  // Looks at the events of all types at once, whichever are asked for.
  bool all_types;
  postgres::Statement statement;
};

// All there are, in their order.
absl::Span<const Check> Checks();

struct Finding {
  int64_t checked = 0;
  int64_t wrong = 0;
  std::string first;  // what the first of the wrong ones is; empty when none is
};

// Makes all that follows in `tx` see one snapshot, in which no partition is dropped from under it.
// First of all in a transaction that is REPEATABLE READ.
absl::StatusOr<Ledger> TakeSnapshot(postgres::Transaction& tx);

// `type` may be null for checks of the whole ledger. Days before `since`, such as "2026-03-01", are
// not compared with events; empty: all are.
absl::StatusOr<Finding> Run(postgres::Transaction& tx, const Check& check, const Ledger& ledger,
                            const LedgerType* type, const std::string& since);

// Answers, by asset, how many events of balanced requests there are and what they make, leaving out
// batches that may have lost some.
const postgres::Statement& BalancedTotals();

}  // namespace saldo::cli::verify
