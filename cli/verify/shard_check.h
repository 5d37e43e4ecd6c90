// `saldo verify` on one database: its snapshot, and the checks that were asked for.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/verify/format.h"
#include "cli/verify/store.h"
#include "common/postgres/transaction.h"
#include "common/shards/shard_map.h"

namespace saldo::cli::verify {

struct VerifyOptions {
  std::string type;   // empty: all
  std::string since;  // a day; empty: all days
  bool fail_fast = false;
  bool json = false;  // nothing is printed meanwhile
};

class ShardCheck {
 public:
  // One shard of `map`, where there are several. What is referred to outlives it.
  ShardCheck(const shards::ShardMap& map, size_t shard, const VerifyOptions& options);

  // First of all in a transaction that is REPEATABLE READ. A usage error when there is no such
  // type.
  absl::Status Begin(postgres::Transaction& tx);
  // Prints the results as they come.
  absl::Status Run(postgres::Transaction& tx);

  // Notes why it cannot be told; the first reason stays.
  void Fail(const absl::Status& status) { report_.status.Update(status); }

  const ShardReport& report() const { return report_; }
  bool differs() const { return differs_; }
  bool stopped() const { return differs_ && options_.fail_fast; }

 private:
  // Makes one check, of which `result` has the names.
  absl::Status RunOne(CheckResult result, absl::FunctionRef<absl::StatusOr<Finding>()> find_out);
  absl::Status RunStatement(postgres::Transaction& tx, const Check& check, const LedgerType* type);

  const shards::ShardMap& map_;
  const size_t shard_;
  const VerifyOptions& options_;
  const bool progress_;  // what is under way is shown on a terminal
  std::vector<const LedgerType*> types_;
  size_t width_ = kTitleWidth;  // of the longest title
  ShardReport report_;
  bool differs_ = false;
};

// To standard output at once, unless the options ask for JSON.
void Print(const VerifyOptions& options, const std::string& text);

}  // namespace saldo::cli::verify
