#include "cli/verify/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/database.h"
#include "cli/verify/format.h"
#include "cli/verify/store.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/postgres/transaction.h"
#include "common/schema/migrator.h"

namespace saldo::cli {
namespace {

// Of what comes before the snapshot; after it there is no limit.
constexpr absl::Duration kStartTimeout = absl::Seconds(30);

CommandSpec Spec() {
  return {
      .usage = "saldo verify [OPTIONS]",
      .about =
          "Recomputes turnovers and balances from the events and compares them with what is "
          "stored; checks that the\norder of batches has no gaps, that balanced batches sum to "
          "zero, and that nothing refers to what is not\nthere. All in one snapshot, so it is "
          "right while others write. Writes nothing.\n"
          "Exit code 0: all agrees; 1: something differs; 2: that could not be told.",
      .options = {
          DsnOption(),
          {"type", "NAME", "this account type only; leaves out what needs the events of all types"},
          {"since", "DAY", "compare days from this one on with events, such as 2026-03-01"},
          {"fail-fast", "", "stop at the first difference"},
          {"json", "", "for programs"}}};
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

// Which types to go through: all, or the one that is named.
absl::StatusOr<std::vector<const verify::LedgerType*>> Select(const verify::Ledger& ledger,
                                                              const Args& args) {
  std::vector<const verify::LedgerType*> types;
  for (const verify::LedgerType& type : ledger.types) {
    if (!args.Has("type") || type.name == args.Get("type")) types.push_back(&type);
  }
  if (!args.Has("type") || !types.empty()) return types;
  if (ledger.types.empty()) return UsageError("the ledger has no account types yet");
  return UsageError(absl::StrCat(
      "there is no account type '", args.Get("type"), "'; there are ",
      absl::StrJoin(ledger.types, ", ", [](std::string* out, const verify::LedgerType& type) {
        out->append(type.name);
      })));
}

// The checks that were asked for, one after another.
class Verification {
 public:
  Verification(const Args& args, std::string since)
      : args_(args),
        since_(std::move(since)),
        json_(args.Has("json")),
        progress_(isatty(STDERR_FILENO) == 1) {}

  absl::Status Run(postgres::Transaction& tx) {
    SALDO_ASSIGN_OR_RETURN(ledger_, verify::TakeSnapshot(tx));
    SALDO_ASSIGN_OR_RETURN(const std::vector<const verify::LedgerType*> types,
                           Select(ledger_, args_));
    Print(verify::HeadText(ledger_));
    for (const verify::Check& check : verify::Checks()) {
      if (check.all_types && args_.Has("type")) continue;
      if (check.scope == verify::Scope::kLedger) SALDO_RETURN_IF_ERROR(RunOne(tx, check, nullptr));
      for (const verify::LedgerType* type : types) {
        if (check.scope == verify::Scope::kLedger) break;
        if (check.scope == verify::Scope::kTypeWithBalance && !type->keeps_balance) continue;
        SALDO_RETURN_IF_ERROR(RunOne(tx, check, type));
      }
    }
    return absl::OkStatus();
  }

  // What there is left to print, and the exit code.
  int Finish() {
    Print(verify::SummaryText(results_, stopped_));
    if (json_) absl::PrintF("%s", verify::ReportJson(ledger_, results_, stopped_));
    std::fflush(stdout);
    return differs_ ? 1 : 0;
  }

 private:
  absl::Status RunOne(postgres::Transaction& tx, const verify::Check& check,
                      const verify::LedgerType* type) {
    if (stopped_) return absl::OkStatus();
    verify::CheckResult result{.name = check.name,
                               .unit = check.unit,
                               .type = type == nullptr ? "" : type->name,
                               .finding = {},
                               .took = {}};
    if (progress_) absl::FPrintF(stderr, "...    %s", verify::Title(result.name, result.type));
    const absl::Time start = absl::Now();
    absl::StatusOr<verify::Finding> finding = verify::Run(tx, check, ledger_, type, since_);
    if (progress_) absl::FPrintF(stderr, "\r\x1b[K");
    SALDO_RETURN_IF_ERROR(finding.status());
    result.finding = *std::move(finding);
    result.took = absl::Now() - start;
    Print(verify::ResultText(result));
    if (result.finding.wrong > 0) differs_ = true;
    stopped_ = differs_ && args_.Has("fail-fast");
    results_.push_back(std::move(result));
    return absl::OkStatus();
  }

  void Print(const std::string& text) const {
    if (json_) return;
    absl::PrintF("%s", text);
    std::fflush(stdout);
  }

  const Args& args_;
  const std::string since_;
  const bool json_;
  const bool progress_;  // what is under way is shown on a terminal
  verify::Ledger ledger_;
  std::vector<verify::CheckResult> results_;
  bool differs_ = false;
  bool stopped_ = false;
};

absl::StatusOr<int> Verify(const Args& args, const std::string& since) {
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<postgres::Connection> connection,
                         ConnectToDatabase(args, kStartTimeout));
  SALDO_RETURN_IF_ERROR(schema::CheckCurrent(*connection, CallContext::WithTimeout(kStartTimeout)));
  Verification verification(args, since);
  SALDO_RETURN_IF_ERROR(postgres::RunTransaction(
      *connection, CallContext(absl::InfiniteFuture()),
      {.name = "verify", .isolation = postgres::Isolation::kRepeatableRead, .read_only = true},
      [&](postgres::Transaction& tx) { return verification.Run(tx); }));
  return verification.Finish();
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
  const absl::StatusOr<int> code = Verify(args, since);
  if (code.ok() || IsUsageError(code.status())) return code;
  absl::FPrintF(stderr, "saldo verify: %s\n", std::string(code.status().message()));
  return 2;
}

}  // namespace saldo::cli
