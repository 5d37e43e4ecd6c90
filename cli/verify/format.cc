#include "cli/verify/format.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/strings.h"
#include "common/observability/text.h"

namespace saldo::cli::verify {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted;
  text::AppendJsonString(text, &quoted);
  return quoted;
}

// Values of attributes may hold any character but U+001F.
std::string OneLine(const std::string& text) {
  std::string line;
  text::AppendUtf8(text, &line);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line;
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

std::string ResultText(const CheckResult& result) {
  const Finding& finding = result.finding;
  const std::string title = Title(result.name, result.type);
  if (finding.wrong == 0) {
    return absl::StrFormat("ok     %-28s %d %s, %.1f s\n", title, finding.checked,
                           AsAbsl(result.unit), absl::ToDoubleSeconds(result.took));
  }
  return absl::StrFormat("WRONG  %-28s %d %s, %.1f s; %d %s, the first:\n       %s\n", title,
                         finding.checked, AsAbsl(result.unit), absl::ToDoubleSeconds(result.took),
                         finding.wrong, finding.wrong == 1 ? "difference" : "differences",
                         OneLine(finding.first));
}

std::string SummaryText(const std::vector<CheckResult>& results, bool stopped) {
  const size_t differing = Differing(results);
  if (differing == 0) return absl::StrCat("all ", results.size(), " checks agree\n");
  if (stopped) return "stopped at the first difference\n";
  return absl::StrCat(differing, " of ", results.size(), " checks found differences\n");
}

std::string ReportJson(const Ledger& ledger, const std::vector<CheckResult>& results,
                       bool stopped) {
  std::string text = absl::StrCat(
      R"({"snapshot_at": )",
      Quoted(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", ledger.snapshot_at, absl::UTCTimeZone())),
      R"(, "time_zone": )", Quoted(ledger.time_zone), R"(, "agrees": )",
      Differing(results) == 0 ? "true" : "false", R"(, "stopped": )", stopped ? "true" : "false",
      R"(, "checks": [)");
  const char* comma = "";
  for (const CheckResult& result : results) {
    absl::StrAppend(
        &text, comma, "\n  {\"check\": ", Quoted(result.name), R"(, "type": )",
        result.type.empty() ? "null" : Quoted(result.type), R"(, "unit": )", Quoted(result.unit),
        R"(, "checked": )", result.finding.checked, R"(, "wrong": )", result.finding.wrong,
        R"(, "first": )", result.finding.wrong == 0 ? "null" : Quoted(result.finding.first),
        R"(, "seconds": )", absl::StrFormat("%.3f", absl::ToDoubleSeconds(result.took)), "}");
    comma = ",";
  }
  return text + "\n]}\n";
}

}  // namespace saldo::cli::verify
