// The arguments of one command: what it takes, parsed, and its help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace saldo::cli {

struct Option {
  std::string name;   // without dashes
  std::string value;  // what stands for its value in the help: "FILE"; empty: a switch
  std::string help;
};

struct CommandSpec {
  std::string usage;  // "saldo call [OPTIONS] METHOD JSON"
  std::string about;
  std::vector<Option> options;  // --help is always there
  size_t operands_min = 0;
  size_t operands_max = 0;
};

// Options are written --name=VALUE or --name VALUE, anywhere among the operands; "--" ends them.
class Args {
 public:
  // A usage error names what is wrong. With --help nothing is checked beyond the options.
  static absl::StatusOr<Args> Parse(const CommandSpec& spec,
                                    const std::vector<std::string>& arguments);

  bool help() const { return Has("help"); }
  bool Has(std::string_view name) const;
  // The option's value, or `fallback` when it was not given.
  std::string Get(std::string_view name, const std::string& fallback = "") const;
  absl::StatusOr<int64_t> GetInt(std::string_view name, int64_t fallback, int64_t min,
                                 int64_t max) const;
  // "500ms", "10s"; positive and at most `max`.
  absl::StatusOr<absl::Duration> GetDuration(std::string_view name, absl::Duration fallback,
                                             absl::Duration max) const;
  // "HOST:PORT", or another of gRPC's names with a colon.
  absl::StatusOr<std::string> GetAddress(std::string_view name, const std::string& fallback) const;
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  absl::Status TakeOption(const CommandSpec& spec, const std::vector<std::string>& arguments,
                          size_t& at);

  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> operands_;
};

std::string HelpText(const CommandSpec& spec);

// The caller typed something wrong: exit code 2 instead of 1.
absl::Status UsageError(const std::string& message);
bool IsUsageError(const absl::Status& status);

}  // namespace saldo::cli
