#include "cli/verify/format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/output.h"
#include "common/base/strings.h"
#include "common/observability/text.h"

namespace saldo::cli::verify {
namespace {

// Values of attributes may hold any character but U+001F.
std::string OneLine(const std::string& text) {
  std::string line;
  text::AppendUtf8(text, &line);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line;
}

std::string ChecksJson(const std::vector<CheckResult>& results, const char* type_key) {
  std::string text = "[";
  const char* comma = "";
  for (const CheckResult& result : results) {
    absl::StrAppend(
        &text, comma, "\n  {\"check\": ", Quoted(result.name), R"(, ")", type_key, R"(": )",
        result.type.empty() ? "null" : Quoted(result.type), R"(, "unit": )", Quoted(result.unit),
        R"(, "checked": )", result.finding.checked, R"(, "wrong": )", result.finding.wrong,
        R"(, "first": )", result.finding.wrong == 0 ? "null" : Quoted(result.finding.first),
        R"(, "seconds": )", absl::StrFormat("%.3f", absl::ToDoubleSeconds(result.took)), "}");
    comma = ",";
  }
  return text + "\n]";
}

size_t Differing(const std::vector<CheckResult>& results) {
  return static_cast<size_t>(
      std::count_if(results.begin(), results.end(),
                    [](const CheckResult& result) { return result.finding.wrong > 0; }));
}

}  // namespace

std::string Title(std::string_view check, std::string_view type) {
  return type.empty() ? std::string(check) : absl::StrCat(AsAbsl(check), " of ", AsAbsl(type));
}

std::string HeadText(const Ledger& ledger) {
  return absl::StrCat(
      "the ledger as of ",
      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", ledger.snapshot_at, absl::UTCTimeZone()),
      ", with days of ", ledger.time_zone, "\n");
}

std::string ResultText(const CheckResult& result, size_t width) {
  const Finding& finding = result.finding;
  const std::string title = Title(result.name, result.type);
  std::string text = absl::StrFormat("%-6s %-*s %d %s, %.1f s", finding.wrong == 0 ? "ok" : "WRONG",
                                     static_cast<int>(width), title, finding.checked,
                                     AsAbsl(result.unit), absl::ToDoubleSeconds(result.took));
  if (finding.wrong > 0) {
    absl::StrAppendFormat(&text, "; %d %s, the first:\n       %s", finding.wrong,
                          finding.wrong == 1 ? "difference" : "differences",
                          OneLine(finding.first));
  }
  return text + "\n";
}

std::string SummaryText(const std::vector<CheckResult>& results, bool stopped) {
  const size_t differing = Differing(results);
  if (differing == 0) return absl::StrCat("all ", results.size(), " checks agree\n");
  if (stopped) return "stopped at the first difference\n";
  return absl::StrCat(differing, " of ", results.size(), " checks found differences\n");
}

std::string ReportJson(const Ledger& ledger, const std::vector<CheckResult>& results,
                       bool stopped) {
  return absl::StrCat(
      R"({"snapshot_at": )",
      Quoted(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", ledger.snapshot_at, absl::UTCTimeZone())),
      R"(, "time_zone": )", Quoted(ledger.time_zone), R"(, "agrees": )",
      Differing(results) == 0 ? "true" : "false", R"(, "stopped": )", stopped ? "true" : "false",
      R"(, "checks": )", ChecksJson(results, "type"), "}\n");
}

std::string SummaryText(const std::vector<ShardReport>& shards,
                        const std::optional<std::vector<CheckResult>>& over_all, bool stopped) {
  size_t checks = over_all.has_value() ? over_all->size() : 0;
  size_t differing = over_all.has_value() ? Differing(*over_all) : 0;
  size_t unknown = 0;
  for (const ShardReport& shard : shards) {
    checks += shard.results.size();
    differing += Differing(shard.results);
    if (!shard.status.ok()) ++unknown;
  }
  if (stopped) return "stopped at the first difference\n";
  std::string text = differing == 0 ? absl::StrCat("all ", checks, " checks")
                                    : absl::StrCat(differing, " of ", checks, " checks");
  absl::StrAppend(&text, " of ", shards.size() - unknown, " shards ",
                  differing == 0 ? "agree" : "found differences");
  if (unknown > 0) absl::StrAppend(&text, "; ", unknown, " could not be checked");
  return text + "\n";
}

std::string ReportJson(const std::vector<ShardReport>& shards,
                       const std::optional<std::vector<CheckResult>>& over_all, bool stopped) {
  bool agrees = over_all.has_value() && Differing(*over_all) == 0;
  std::string list;
  for (const ShardReport& shard : shards) {
    if (!shard.status.ok() || Differing(shard.results) > 0) agrees = false;
    std::string report = "null";
    if (shard.status.ok()) report = ReportJson(shard.ledger, shard.results, stopped);
    absl::StripTrailingAsciiWhitespace(&report);
    absl::StrAppend(&list, list.empty() ? "" : ",\n", R"({"shard": )", Quoted(shard.shard),
                    R"(, "error": )",
                    shard.status.ok() ? "null" : Quoted(std::string(shard.status.message())),
                    R"(, "report": )", report, "}");
  }
  return absl::StrCat(R"({"agrees": )", agrees ? "true" : "false", R"(, "stopped": )",
                      stopped ? "true" : "false", R"(, "over_all_shards": )",
                      over_all.has_value() ? ChecksJson(*over_all, "asset") : "null",
                      R"(, "shards": [)", "\n", list, "\n]}\n");
}

}  // namespace saldo::cli::verify
