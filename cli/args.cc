#include "cli/args.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace saldo::cli {
namespace {

constexpr const char* kUsagePayload = "saldo.dev/usage";

const Option* Find(const CommandSpec& spec, const std::string& name) {
  for (const Option& option : spec.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

}  // namespace

absl::Status UsageError(const std::string& message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) {
  return status.GetPayload(kUsagePayload).has_value();
}

absl::StatusOr<Args> Args::Parse(const CommandSpec& spec,
                                 const std::vector<std::string>& arguments) {
  Args args;
  bool options = true;
  for (size_t at = 0; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (options && argument == "--") {
      options = false;
    } else if (options && argument.starts_with("-") && argument != "-") {
      SALDO_RETURN_IF_ERROR(args.TakeOption(spec, arguments, at));
    } else {
      args.operands_.push_back(argument);
    }
  }
  if (args.help()) return args;
  if (args.operands_.size() > spec.operands_max) {
    return UsageError(absl::StrCat("'", args.operands_[spec.operands_max], "' is one too many"));
  }
  if (args.operands_.size() < spec.operands_min) {
    return UsageError(absl::StrCat("something is missing: ", spec.usage));
  }
  return args;
}

absl::Status Args::TakeOption(const CommandSpec& spec, const std::vector<std::string>& arguments,
                              size_t& at) {
  const std::string& argument = arguments[at];
  if (argument == "-h" || argument == "--help") {
    values_["help"] = "";
    return absl::OkStatus();
  }
  const size_t equals = argument.find('=');
  const std::string name = argument.substr(0, equals);
  const Option* option = name.starts_with("--") ? Find(spec, name.substr(2)) : nullptr;
  if (option == nullptr) return UsageError(absl::StrCat("unknown option ", name));
  std::string value;
  if (option->value.empty()) {
    if (equals != std::string::npos) return UsageError(absl::StrCat(name, " takes no value"));
  } else if (equals != std::string::npos) {
    value = argument.substr(equals + 1);
  } else if (++at < arguments.size()) {
    value = arguments[at];
  } else {
    return UsageError(absl::StrCat(name, " needs a value: ", name, "=", option->value));
  }
  if (!values_.emplace(option->name, std::move(value)).second) {
    return UsageError(absl::StrCat(name, " is given twice"));
  }
  return absl::OkStatus();
}

bool Args::Has(std::string_view name) const { return values_.find(name) != values_.end(); }

std::string Args::Get(std::string_view name, const std::string& fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second;
}

absl::StatusOr<int64_t> Args::GetInt(std::string_view name, int64_t fallback, int64_t min,
                                     int64_t max) const {
  if (!Has(name)) return fallback;
  int64_t value = 0;
  if (!absl::SimpleAtoi(Get(name), &value) || value < min || value > max) {
    return UsageError(absl::StrFormat("--%s=%s is not a whole number from %d to %d",
                                      std::string(name), Get(name), min, max));
  }
  return value;
}

absl::StatusOr<absl::Duration> Args::GetDuration(std::string_view name, absl::Duration fallback,
                                                 absl::Duration max) const {
  if (!Has(name)) return fallback;
  absl::Duration value;
  if (!absl::ParseDuration(Get(name), &value) || value <= absl::ZeroDuration() || value > max) {
    return UsageError(absl::StrCat("--", std::string(name), "=", Get(name),
                                   " is not a time such as 500ms or 10s, of at most ",
                                   absl::FormatDuration(max)));
  }
  return value;
}

absl::StatusOr<std::string> Args::GetAddress(std::string_view name,
                                             const std::string& fallback) const {
  std::string address = Get(name, fallback);
  const size_t colon = address.find(':');
  if (colon != std::string::npos && colon > 0 && colon + 1 < address.size()) return address;
  return UsageError(
      absl::StrCat("--", std::string(name), "=", address, " is not of the form HOST:PORT"));
}

std::string HelpText(const CommandSpec& spec) {
  std::string text = absl::StrCat("usage: ", spec.usage, "\n\n", spec.about, "\n");
  if (spec.options.empty()) return text;
  std::vector<std::string> left;
  size_t width = 0;
  for (const Option& option : spec.options) {
    left.push_back(absl::StrCat("--", option.name, option.value.empty() ? "" : "=", option.value));
    width = std::max(width, left.back().size());
  }
  absl::StrAppend(&text, "\nOptions:\n");
  for (size_t i = 0; i < left.size(); ++i) {
    absl::StrAppendFormat(&text, "  %-*s  %s\n", static_cast<int>(width), left[i],
                          spec.options[i].help);
  }
  return text;
}

}  // namespace saldo::cli
