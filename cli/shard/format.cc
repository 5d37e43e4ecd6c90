#include "cli/shard/format.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/output.h"

namespace saldo::cli::shard {
namespace {

std::string LagText(const std::optional<int64_t>& lag) {
  return lag.has_value() ? absl::StrCat(*lag, *lag == 1 ? " batch" : " batches") : "no cursor";
}

std::string LagJson(const std::optional<int64_t>& lag) {
  return lag.has_value() ? absl::StrCat(*lag) : "null";
}

std::string Hex(uint64_t value) { return absl::StrFormat("%016x", value); }

// Of a status, whose message may have several lines.
std::string OneLine(const absl::Status& status) {
  std::string line(status.message());
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return line;
}

std::string RangeJson(shards::Range range) {
  return absl::StrCat(R"("from": ")", Hex(range.first), R"(", "to": ")", Hex(range.last), "\"");
}

}  // namespace

std::string StatusText(const std::vector<Report>& reports) {
  std::vector<std::vector<std::string>> rows{
      {"shard", "hashes", "size", "accounts", "last seq", "relay lag", "aggregation lag", "state"}};
  for (const Report& one : reports) {
    if (!one.figures.ok()) {
      rows.push_back({one.name, shards::ToString(one.range), "-", "-", "-", "-", "-",
                      OneLine(one.figures.status())});
      continue;
    }
    const Figures& figures = *one.figures;
    rows.push_back({one.name, shards::ToString(one.range), BytesText(figures.bytes),
                    absl::StrCat(figures.accounts_estimated ? "about " : "", figures.accounts),
                    absl::StrCat(figures.last_seq), LagText(figures.relay_lag),
                    LagText(figures.aggregation_lag), "answers"});
  }
  return Table(rows);
}

std::string StatusJson(const std::vector<Report>& reports) {
  const auto one = [](std::string* out, const Report& report) {
    absl::StrAppend(out, R"({"shard": )", Quoted(report.name), ", ", RangeJson(report.range),
                    R"(, "answers": )", report.figures.ok() ? "true" : "false", R"(, "error": )",
                    report.figures.ok() ? "null" : Quoted(OneLine(report.figures.status())));
    if (report.figures.ok()) {
      const Figures& figures = *report.figures;
      absl::StrAppend(out, R"(, "bytes": )", figures.bytes, R"(, "accounts": )", figures.accounts,
                      R"(, "accounts_estimated": )", figures.accounts_estimated ? "true" : "false",
                      R"(, "last_seq": )", figures.last_seq, R"(, "relay_lag_batches": )",
                      LagJson(figures.relay_lag), R"(, "aggregation_lag_batches": )",
                      LagJson(figures.aggregation_lag));
    }
    out->append("}");
  };
  return absl::StrCat("{\"shards\": [\n", absl::StrJoin(reports, ",\n", one), "\n]}\n");
}

std::string PlaceText(const Place& place) {
  return absl::StrCat("shard ", place.shard, ": hash ", Hex(place.hash), " of ",
                      shards::ToString(place.range), "\n");
}

std::string PlaceJson(const Place& place) {
  return absl::StrCat(R"({"shard": )", Quoted(place.shard), R"(, "hash": ")", Hex(place.hash),
                      R"(", )", RangeJson(place.range), "}\n");
}

}  // namespace saldo::cli::shard
