#include "cli/verify/verify.h"

#include <cstdio>
#include <memory>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "cli/verify/cross_shard.h"
#include "cli/verify/format.h"
#include "cli/verify/shard_check.h"
#include "cli/verify/transfers.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/postgres/transaction.h"

namespace saldo::cli {
namespace {

using verify::ShardCheck;
using verify::VerifyOptions;

// Of what comes before the snapshot; after it there is no limit.
constexpr absl::Duration kStartTimeout = absl::Seconds(30);

CommandSpec Spec() {
  return {.usage = "saldo verify [OPTIONS]",
          .about =
              "Recomputes turnovers and balances from the events and compares them with what is "
              "stored; checks that the\norder of batches has no gaps, that balanced batches sum to "
              "zero, and that nothing refers to what is not\nthere. All in one snapshot, so it is "
              "right while others write. Writes nothing.\n"
              "Of shards, each in a snapshot of its own, and what their balanced events make "
              "together.\n"
              "Exit code 0: all agrees; 1: something differs; 2: that could not be told.",
          .options = DatabaseOptions(
              {ShardOption(),
               {"type", "NAME",
                "this account type only; leaves out what needs the events of all types"},
               {"since", "DAY", "compare days from this one on with events, such as 2026-03-01"},
               {"fail-fast", "", "stop at the first difference"},
               {"json", "", "for programs"}})};
}

absl::StatusOr<std::string> Since(const Args& args) {
  const std::string text = args.Get("since");
  if (!args.Has("since")) return text;
  absl::CivilDay day;
  // The form is checked as well: "2026-3-1" is read, and PostgreSQL may read it otherwise.
  if (!absl::ParseCivilTime(text, &day) || absl::FormatCivilTime(day) != text ||
      day < absl::CivilDay(1900, 1, 1) || day >= absl::CivilDay(2200, 1, 1)) {
    return UsageError(absl::StrCat("'", text, "' is not a day such as 2026-03-01"));
  }
  return text;
}

// The databases that were asked for, in one snapshot each.
class Verification {
 public:
  Verification(const Databases& databases, const std::vector<size_t>& selected,
               const VerifyOptions& options)
      : databases_(databases),
        selected_(selected),
        options_(options),
        over_all_(databases.sharded() && selected.size() == databases.size()) {
    checks_.reserve(selected.size());
    for (const size_t shard : selected_) checks_.emplace_back(databases.map(), shard, options);
  }

  absl::StatusOr<int> Run() {
    WithSnapshots({});
    for (const ShardCheck& check : checks_) {
      if (IsUsageError(check.report().status)) return check.report().status;
    }
    if (!databases_.sharded()) {
      SALDO_RETURN_IF_ERROR(checks_[0].report().status);
      return FinishOne(checks_[0]);
    }
    return FinishAll();
  }

 private:
  // Opens the snapshots from that of `txs.size()` on, and then checks all that are open. One that
  // cannot be opened, or ends early, does not keep the others from being checked; its place is
  // null.
  void WithSnapshots(std::vector<postgres::Transaction*> txs) {
    const size_t at = txs.size();
    if (at == selected_.size()) return CheckAll(txs);
    txs.push_back(nullptr);
    bool went_on = false;
    const absl::Status status = InTransaction(selected_[at], [&](postgres::Transaction& tx) {
      SALDO_RETURN_IF_ERROR(checks_[at].Begin(tx));
      txs[at] = &tx;
      went_on = true;
      WithSnapshots(txs);
      return checks_[at].report().status;
    });
    checks_[at].Fail(status);
    if (!went_on) WithSnapshots(std::move(txs));
  }

  absl::Status InTransaction(size_t shard,
                             absl::FunctionRef<absl::Status(postgres::Transaction&)> body) const {
    SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                           databases_.ConnectToCurrent(shard, kStartTimeout));
    return postgres::RunTransaction(*connection, CallContext(absl::InfiniteFuture()),
                                    {.name = "verify",
                                     .isolation = postgres::Isolation::kRepeatableRead,
                                     .read_only = true,
                                     .max_attempts = 1},
                                    body);
  }

  void CheckAll(const std::vector<postgres::Transaction*>& txs) {
    for (const ShardCheck& check : checks_) {
      if (IsUsageError(check.report().status)) return;
    }
    for (size_t i = 0; i < txs.size() && !stopped_; ++i) {
      if (databases_.sharded()) {
        verify::Print(options_, absl::StrCat("shard ", databases_.name(selected_[i]), "\n"));
      }
      if (txs[i] != nullptr) checks_[i].Fail(CheckOne(*txs[i], &checks_[i]));
      stopped_ = checks_[i].stopped();
      Tell(selected_[i], checks_[i]);
    }
    if (facts_.size() == databases_.size() && !stopped_) CheckTransfers(txs);
  }

  // Of two shards each; counterparts are read outside the snapshots.
  void CheckTransfers(const std::vector<postgres::Transaction*>& txs) {
    std::vector<std::unique_ptr<postgres::Connection>> connections(databases_.size());
    const auto later =
        [&](size_t shard, const postgres::Statement& statement,
            const std::vector<std::string>& ids) -> absl::StatusOr<postgres::Result> {
      if (connections[shard] == nullptr) {
        SALDO_ASSIGN_OR_RETURN(connections[shard],
                               databases_.ConnectToCurrent(shard, kStartTimeout));
      }
      postgres::Result result;
      SALDO_RETURN_IF_ERROR(postgres::RunTransaction(
          *connections[shard], CallContext(absl::InfiniteFuture()),
          {.name = "verify.transfers", .read_only = true, .max_attempts = 1},
          [&](postgres::Transaction& tx) -> absl::Status {
            SALDO_ASSIGN_OR_RETURN(result, tx.Query(statement, ids));
            return absl::OkStatus();
          }));
      return result;
    };
    const auto check = [&](const char* name, auto function) {
      verify::CheckResult result{
          .name = name, .unit = "transfers", .type = "", .finding = {}, .took = {}};
      absl::StatusOr<verify::Finding> finding = function(txs, databases_.map(), later);
      if (!finding.ok()) return checks_[0].Fail(finding.status());
      result.finding = *std::move(finding);
      transfers_.push_back(std::move(result));
    };
    check("transfer credits", verify::CheckCredits);
    check("transfer ends", verify::CheckEnds);
  }

  absl::Status CheckOne(postgres::Transaction& tx, ShardCheck* check) {
    SALDO_RETURN_IF_ERROR(check->Run(tx));
    if (!over_all_ || !options_.type.empty() || check->stopped()) return absl::OkStatus();
    SALDO_ASSIGN_OR_RETURN(verify::ShardFacts facts, verify::ReadFacts(tx, check->report().shard));
    facts_.push_back(std::move(facts));
    return absl::OkStatus();
  }

  // The end of one shard's part of the report.
  void Tell(size_t shard, const ShardCheck& check) const {
    if (!databases_.sharded()) return;
    const verify::ShardReport& report = check.report();
    if (report.status.ok()) {
      verify::Print(options_, verify::SummaryText(report.results, stopped_) + "\n");
      return;
    }
    absl::FPrintF(stderr, "saldo verify: %s\n",
                  std::string(databases_.Named(shard, report.status).message()));
    verify::Print(options_, "could not be checked\n\n");
  }

  int FinishOne(const ShardCheck& check) const {
    const verify::ShardReport& report = check.report();
    verify::Print(options_, verify::SummaryText(report.results, check.stopped()));
    if (options_.json)
      absl::PrintF("%s", verify::ReportJson(report.ledger, report.results, check.stopped()));
    std::fflush(stdout);
    return check.differs() ? 1 : 0;
  }

  int FinishAll() {
    std::vector<verify::ShardReport> reports;
    bool differs = false, unknown = false;
    for (const ShardCheck& check : checks_) {
      reports.push_back(check.report());
      differs |= check.differs();
      unknown |= !check.report().status.ok();
    }
    std::optional<std::vector<verify::CheckResult>> over_all;
    if (facts_.size() == databases_.size()) {
      over_all = verify::CheckOverAll(facts_);
      over_all->insert(over_all->end(), transfers_.begin(), transfers_.end());
      verify::Print(options_, "all shards together\n");
      for (const verify::CheckResult& result : *over_all) {
        differs |= result.finding.wrong > 0;
        verify::Print(options_, verify::ResultText(result));
      }
    }
    verify::Print(options_, verify::SummaryText(reports, over_all, stopped_));
    if (options_.json) absl::PrintF("%s", verify::ReportJson(reports, over_all, stopped_));
    std::fflush(stdout);
    if (differs) return 1;
    return unknown ? 2 : 0;
  }

  const Databases& databases_;
  const std::vector<size_t> selected_;
  const VerifyOptions& options_;
  const bool
      over_all_;  // whether all shards are checked, so that something can be said of their sum
  std::vector<ShardCheck> checks_;
  std::vector<verify::ShardFacts> facts_;
  std::vector<verify::CheckResult> transfers_;
  bool stopped_ = false;
};

absl::StatusOr<int> Verify(const Args& args, const VerifyOptions& options) {
  SALDO_ASSIGN_OR_RETURN(const Databases databases, FindDatabases(args));
  SALDO_ASSIGN_OR_RETURN(const std::vector<size_t> selected, databases.Selected(args));
  return Verification(databases, selected, options).Run();
}

}  // namespace

absl::StatusOr<int> RunVerify(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(const std::string since, Since(args));
  const VerifyOptions options{.type = args.Get("type"),
                              .since = since,
                              .fail_fast = args.Has("fail-fast"),
                              .json = args.Has("json")};
  const absl::StatusOr<int> code = Verify(args, options);
  if (code.ok() || IsUsageError(code.status())) return code;
  absl::FPrintF(stderr, "saldo verify: %s\n", std::string(code.status().message()));
  return 2;
}

}  // namespace saldo::cli
