// What every benchmark is made of: figures with their targets, the report, and a little statistics.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/runtime/stop_signal.h"

namespace saldo::bench {

class Stack;

struct Target {
  enum class Kind { kNone, kAtLeast, kAtMost };
  Kind kind = Kind::kNone;
  double value = 0;
};
inline Target AtLeast(double value) { return {Target::Kind::kAtLeast, value}; }
inline Target AtMost(double value) { return {Target::Kind::kAtMost, value}; }

struct Figure {
  std::string name;  // "<subject>_<what>", with the unit last where it has one
  std::string unit;
  Target target = {};
};

// The values of one run. A figure that is measured twice keeps the last value.
class Report {
 public:
  struct Value {
    double value = 0;
    std::string note;  // how it was measured, where that is not obvious
  };

  void Set(const std::string& figure, double value, std::string note = "") {
    values_[figure] = {value, std::move(note)};
  }
  const Value* Find(const std::string& figure) const {
    const auto found = values_.find(figure);
    return found == values_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Value> values_;
};

// What a benchmark gets.
struct Context {
  Stack& stack;
  runtime::StopSignal& interrupt;  // every longer wait is one of this
  bool quick;                      // a short run that shows that it works; its figures say little
  bool verbose;                    // also tell where the CPU time went
};

// Measures some figures of one subject.
struct Benchmark {
  std::vector<Figure> figures;
  std::function<absl::Status(const Context&, Report&)> run;
};

// Those whose figures have a name that matches `pattern`, a POSIX extended regular expression; all
// for an empty one. INVALID_ARGUMENT when it is none, or nothing matches.
absl::StatusOr<std::vector<Benchmark>> Select(std::vector<Benchmark> all,
                                              const std::string& pattern);

// A table for people: value, unit, target, and whether it is met.
std::string Table(const std::vector<Benchmark>& benchmarks, const Report& report);
// {"name": {"value": 1.5, "unit": "ms"}, ...}, without the figures that have no value.
std::string Json(const std::vector<Benchmark>& benchmarks, const Report& report);

// A line about progress, on standard error.
void Say(const std::string& line);

// Both need at least one sample. `percent` is 0..100; by the nearest rank.
double Percentile(std::vector<double> samples, double percent);
double Median(std::vector<double> samples);

// Two things that are compared, measured in turn, A B A B, so that what disturbs the machine for a
// while disturbs both.
struct Pairs {
  std::vector<double> a, b;

  // Each A is divided by its own B.
  double MedianRatio() const;
  // "1.02 0.97 1.00", for a note.
  std::string Ratios() const;
};
absl::StatusOr<Pairs> MeasurePairs(int count, absl::FunctionRef<absl::StatusOr<double>(int)> a,
                                   absl::FunctionRef<absl::StatusOr<double>(int)> b);

// CANCELLED when the run was interrupted meanwhile.
absl::Status Wait(const Context& context, absl::Duration time);

// Asks again and again until `done` answers true. DEADLINE_EXCEEDED with `what` after `timeout`.
absl::Status WaitUntil(const Context& context, const std::string& what, absl::Duration timeout,
                       absl::Duration poll, absl::FunctionRef<absl::StatusOr<bool>()> done);

}  // namespace saldo::bench
