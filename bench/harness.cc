#include "bench/harness.h"

#include <regex.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace saldo::bench {
namespace {

std::string Number(double value) {
  const int decimals = std::abs(value) < 10 ? 3 : std::abs(value) < 1000 ? 1 : 0;
  return absl::StrFormat("%.*f", decimals, value);
}

std::string TargetText(const Figure& figure) {
  switch (figure.target.kind) {
    case Target::Kind::kNone:
      return "";
    case Target::Kind::kAtLeast:
      return ">= " + Number(figure.target.value);
    case Target::Kind::kAtMost:
      return "<= " + Number(figure.target.value);
  }
  return "";
}

std::string Verdict(const Figure& figure, const Report::Value* value) {
  if (value == nullptr) return "NOT MEASURED";
  switch (figure.target.kind) {
    case Target::Kind::kNone:
      return "";
    case Target::Kind::kAtLeast:
      return value->value >= figure.target.value ? "met" : "MISSED";
    case Target::Kind::kAtMost:
      return value->value <= figure.target.value ? "met" : "MISSED";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::vector<Benchmark>> Select(std::vector<Benchmark> all,
                                              const std::string& pattern) {
  if (pattern.empty()) return all;
  regex_t regex;
  if (regcomp(&regex, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("'", pattern, "' is no regular expression"));
  }
  std::vector<Benchmark> selected;
  for (Benchmark& benchmark : all) {
    const bool matches =
        std::any_of(benchmark.figures.begin(), benchmark.figures.end(), [&](const Figure& figure) {
          return regexec(&regex, figure.name.c_str(), 0, nullptr, 0) == 0;
        });
    if (matches) selected.push_back(std::move(benchmark));
  }
  regfree(&regex);
  if (selected.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no figure's name matches '", pattern, "'"));
  }
  return selected;
}

std::string Table(const std::vector<Benchmark>& benchmarks, const Report& report) {
  std::string table = absl::StrFormat("\n%-32s %12s  %-10s %-10s %-12s %s\n", "figure", "value",
                                      "unit", "target", "", "note");
  for (const Benchmark& benchmark : benchmarks) {
    for (const Figure& figure : benchmark.figures) {
      const Report::Value* value = report.Find(figure.name);
      absl::StrAppendFormat(&table, "%-32s %12s  %-10s %-10s %-12s %s\n", figure.name,
                            value == nullptr ? "-" : Number(value->value), figure.unit,
                            TargetText(figure), Verdict(figure, value),
                            value == nullptr ? "" : value->note);
    }
  }
  return table;
}

std::string Json(const std::vector<Benchmark>& benchmarks, const Report& report) {
  std::string json = "{";
  const char* separator = "\n";
  for (const Benchmark& benchmark : benchmarks) {
    for (const Figure& figure : benchmark.figures) {
      const Report::Value* value = report.Find(figure.name);
      if (value == nullptr) continue;
      absl::StrAppendFormat(&json, "%s  \"%s\": {\"value\": %.6g, \"unit\": \"%s\"}", separator,
                            figure.name, value->value, figure.unit);
      separator = ",\n";
    }
  }
  return json + "\n}\n";
}

void Say(const std::string& line) { absl::FPrintF(stderr, "bench: %s\n", line); }

double Percentile(std::vector<double> samples, double percent) {
  const double rank = std::ceil(percent / 100 * static_cast<double>(samples.size()));
  const size_t at =
      static_cast<size_t>(std::clamp(rank - 1, 0.0, static_cast<double>(samples.size() - 1)));
  const auto wanted = samples.begin() + static_cast<std::ptrdiff_t>(at);
  std::nth_element(samples.begin(), wanted, samples.end());
  return *wanted;
}

double Median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const size_t middle = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
}

double Pairs::MedianRatio() const {
  std::vector<double> ratios;
  for (size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return Median(std::move(ratios));
}

std::string Pairs::Ratios() const {
  std::string text;
  for (size_t i = 0; i < a.size(); ++i) {
    absl::StrAppendFormat(&text, "%s%.2f", i == 0 ? "" : " ", a[i] / b[i]);
  }
  return text;
}

absl::StatusOr<Pairs> MeasurePairs(int count, absl::FunctionRef<absl::StatusOr<double>(int)> a,
                                   absl::FunctionRef<absl::StatusOr<double>(int)> b) {
  Pairs pairs;
  for (int i = 0; i < count; ++i) {
    SALDO_ASSIGN_OR_RETURN(const double of_a, a(i));
    SALDO_ASSIGN_OR_RETURN(const double of_b, b(i));
    if (of_a <= 0 || of_b <= 0) return absl::InternalError("a run measured nothing");
    pairs.a.push_back(of_a);
    pairs.b.push_back(of_b);
  }
  return pairs;
}

absl::Status Wait(const Context& context, absl::Duration time) {
  return context.interrupt.WaitFor(time) ? absl::OkStatus() : absl::CancelledError("interrupted");
}

absl::Status WaitUntil(const Context& context, const std::string& what, absl::Duration timeout,
                       absl::Duration poll, absl::FunctionRef<absl::StatusOr<bool>()> done) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    SALDO_ASSIGN_OR_RETURN(const bool yes, done());
    if (yes) return absl::OkStatus();
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, ": not within ", absl::FormatDuration(timeout)));
    }
    SALDO_RETURN_IF_ERROR(Wait(context, poll));
  }
}

}  // namespace saldo::bench
