#include "cli/args.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace saldo::cli {
namespace {

CommandSpec Spec() {
  return {.usage = "saldo try FILE",
          .about = "Tries.",
          .options = {{"count", "N", "how many"}, {"all", "", "everything"}, {"wait", "TIME", ""}},
          .operands_min = 1,
          .operands_max = 2};
}

TEST_CASE("options stand anywhere, in both spellings") {
  const auto args = Args::Parse(Spec(), {"a", "--count=3", "--wait", "250ms", "--all", "-"});
  REQUIRE(args.ok());
  CHECK(args->operands() == std::vector<std::string>{"a", "-"});
  CHECK(args->Has("all"));
  CHECK(*args->GetInt("count", 7, 1, 10) == 3);
  CHECK(*args->GetDuration("wait", absl::Seconds(1), absl::Seconds(9)) == absl::Milliseconds(250));
  CHECK(args->Get("nothing", "fallback") == "fallback");
  CHECK(*args->GetInt("nothing", 7, 1, 10) == 7);
}

TEST_CASE("after -- everything is an operand, and a value may be empty or hold '='") {
  const auto args = Args::Parse(Spec(), {"--count=", "--wait=a=b", "--", "--all"});
  REQUIRE(args.ok());
  CHECK(args->operands() == std::vector<std::string>{"--all"});
  CHECK(args->Get("count", "x").empty());
  CHECK(args->Get("wait") == "a=b");
  CHECK_FALSE(args->Has("all"));
}

TEST_CASE("what is typed wrong is named") {
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Row rows[] = {
      {{"a", "--nope"}, "unknown option --nope"},
      {{"a", "-x"}, "unknown option -x"},
      {{"a", "--count"}, "--count needs a value: --count=N"},
      {{"a", "--all=yes"}, "--all takes no value"},
      {{"a", "--count=1", "--count=2"}, "--count is given twice"},
      {{"a", "b", "c"}, "'c' is one too many"},
      {{}, "something is missing: saldo try FILE"},
  };
  for (const Row& row : rows) {
    const auto args = Args::Parse(Spec(), row.arguments);
    CHECK(std::string(args.status().message()) == row.message);
    CHECK(IsUsageError(args.status()));
  }
  CHECK_FALSE(IsUsageError(absl::InvalidArgumentError("of a server")));
}

TEST_CASE("numbers and times outside their range are refused") {
  for (const char* text : {"0", "11", "x", "", "1.5", "99999999999999999999"}) {
    const auto args = Args::Parse(Spec(), {"a", std::string("--count=") + text});
    CHECK(IsUsageError(args->GetInt("count", 7, 1, 10).status()));
  }
  for (const char* text : {"0s", "-1s", "10s", "5", ""}) {
    const auto args = Args::Parse(Spec(), {"a", std::string("--wait=") + text});
    CHECK(IsUsageError(args->GetDuration("wait", absl::Seconds(1), absl::Seconds(9)).status()));
  }
}

TEST_CASE("--help needs no operands, and lists every option") {
  const auto args = Args::Parse(Spec(), {"--help"});
  REQUIRE(args.ok());
  CHECK(args->help());
  CHECK(HelpText(Spec()) ==
        "usage: saldo try FILE\n\nTries.\n\nOptions:\n"
        "  --count=N    how many\n  --all        everything\n  --wait=TIME  \n");
}

}  // namespace
}  // namespace saldo::cli
