#include "common/base/decimal.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <optional>
#include <random>
#include <sstream>

#include "tests/support/test_env.h"

namespace saldo {
namespace {

Decimal D(std::string_view text) { return Decimal::Parse(text).value(); }

std::optional<Decimal> Sum(Decimal a, Decimal b) {
  Decimal result;
  return Decimal::Add(a, b, &result) ? std::optional(result) : std::nullopt;
}

std::optional<Decimal> Difference(Decimal a, Decimal b) {
  Decimal result;
  return Decimal::Subtract(a, b, &result) ? std::optional(result) : std::nullopt;
}

// The model: 20 digits before the point and 18 after it, without the point, added and compared by
// hand. A zero is not negative.
constexpr size_t kDigits = Decimal::kIntegerDigits + Decimal::kScale;
struct Model {
  bool negative = false;
  std::string digits = std::string(kDigits, '0');

  bool IsZero() const { return digits == std::string(kDigits, '0'); }
  Model Negated() const { return {!negative && !IsZero(), digits}; }

  size_t FractionDigits() const {
    const size_t last = digits.find_last_not_of('0');
    return last == std::string::npos || last < Decimal::kIntegerDigits
               ? 0
               : last + 1 - Decimal::kIntegerDigits;
  }
  // With exactly `scale` digits after the point.
  std::string Text(size_t scale) const {
    const std::string integer = digits.substr(0, Decimal::kIntegerDigits);
    const size_t first = std::min(integer.find_first_not_of('0'), integer.size() - 1);
    std::string text = (negative ? "-" : "") + integer.substr(first);
    if (scale > 0) text += "." + digits.substr(Decimal::kIntegerDigits, scale);
    return text;
  }
};

// Nothing when the sum has a digit too many.
std::optional<Model> Sum(const Model& a, const Model& b) {
  const bool add = a.negative == b.negative;
  const bool swap = !add && a.digits < b.digits;
  const Model& large = swap ? b : a;
  const Model& small = swap ? a : b;
  Model sum{large.negative};
  int carry = 0;
  for (size_t i = kDigits; i-- > 0;) {
    const int below = small.digits[i] - '0' + (add ? carry : 0);
    int digit = large.digits[i] - '0' + (add ? below : -below - carry);
    carry = digit < 0 || digit > 9 ? 1 : 0;
    digit = (digit + 10) % 10;
    sum.digits[i] = static_cast<char>('0' + digit);
  }
  if (carry != 0) return std::nullopt;
  if (sum.IsZero()) sum.negative = false;
  return sum;
}

bool Less(const Model& a, const Model& b) {
  if (a.negative != b.negative) return a.negative;
  return a.negative ? b.digits < a.digits : a.digits < b.digits;
}

// Of every size and count of digits after the point; zeros, nines and small differences are common.
Model RandomModel(std::mt19937_64& random) {
  const auto below = [&](size_t bound) { return random() % bound; };
  const size_t first = below(3) == 0 ? 0 : below(kDigits), last = first + below(kDigits - first);
  const char filler = "0 9"[below(3)];
  Model model;
  for (size_t i = first; i <= last; ++i) {
    model.digits[i] = filler == ' ' || below(8) == 0 ? static_cast<char>('0' + below(10)) : filler;
  }
  model.negative = below(2) == 0 && !model.IsZero();
  return model;
}

}  // namespace

TEST_CASE("the texts of numbers, short and with a scale") {
  struct Row {
    const char* text;
    const char* shortest;
    int fraction_digits;
    int scale;
    const char* scaled;
  };
  const Row rows[] = {
      {"0", "0", 0, 0, "0"},
      {"0", "0", 0, 2, "0.00"},
      {"-0", "0", 0, 2, "0.00"},
      {"-0.000", "0", 0, 1, "0.0"},
      {"007", "7", 0, 2, "7.00"},
      {"-007.70", "-7.7", 1, 2, "-7.70"},
      {"1.50", "1.5", 1, 4, "1.5000"},
      {"1.50", "1.5", 1, 1, "1.5"},
      {"100", "100", 0, 0, "100"},
      {"0.05", "0.05", 2, 2, "0.05"},
      {"-0.05", "-0.05", 2, 3, "-0.050"},
      // More digits than the scale: shown, not rounded.
      {"1.239", "1.239", 3, 2, "1.239"},
      {"-0.001", "-0.001", 3, 0, "-0.001"},
      {"0.000000000000000001", "0.000000000000000001", 18, 18, "0.000000000000000001"},
      {"0.000000000000000000", "0", 0, 18, "0.000000000000000000"},
      {"1000000000000000000", "1000000000000000000", 0, 18,
       "1000000000000000000.000000000000000000"},
      {"99999999999999999999", "99999999999999999999", 0, 1, "99999999999999999999.0"},
      {"99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999", 18, 18,
       "99999999999999999999.999999999999999999"},
      {"-99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999", 18,
       0, "-99999999999999999999.999999999999999999"},
      {"0000000000000000000000000000000000000000000000000000000000000012", "12", 0, 0, "12"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto parsed = Decimal::Parse(row.text);
    REQUIRE(parsed.ok());
    CHECK(parsed->ToString() == row.shortest);
    CHECK(parsed->FractionDigits() == row.fraction_digits);
    CHECK(parsed->ToString(row.scale) == row.scaled);
    CHECK(D(row.scaled) == *parsed);
    std::string appended = "x";
    parsed->AppendTo(&appended, row.scale);
    CHECK(appended == std::string("x") + row.scaled);
    std::ostringstream stream;
    stream << *parsed;
    CHECK(stream.str() == row.shortest);
  }
}

TEST_CASE("what is no plain decimal number is refused") {
  using std::string_view_literals::operator""sv;
  const std::string_view texts[] = {
      "",
      "-",
      "+1",
      "--1",
      "-+1",
      "1-",
      ".",
      "-.",
      ".5",
      "-.5",
      "5.",
      "-5.",
      "1..2",
      "1.2.3",
      "1,5",
      "1 000",
      " 1",
      "1 ",
      "1\n",
      "1\t",
      "- 1",
      "1e5",
      "1E5",
      "1.5e-3",
      "0x10",
      "1_000",
      "NaN",
      "nan",
      "inf",
      "-inf",
      "Infinity",
      "abc",
      "1a",
      "a1",
      "1.a",
      "1.5a",
      "1\0"sv,
      "\0"sv,
      "1.\0"sv,
      "\xff",
      "1\xff",
      "١٢٣",
      "１",
      "−1",
      "1.-5",
      "/",
      ":",
      "1/",
      "1:",
      "1.5/",
      "1.:",
      "\x80"
      "1",
      "$1",
      "1.5.",
  };
  for (const std::string_view text : texts) {
    INFO("'" << text << "'");
    const absl::Status status = Decimal::Parse(text).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(std::string(status.message()), Catch::StartsWith("not a decimal number"));
  }
}

TEST_CASE("limits are told from each other, and named") {
  struct Row {
    std::string text;
    absl::StatusCode code;
    const char* limit;
  };
  const std::string zeros(64, '0'), nines(64, '9');
  const Row rows[] = {
      {zeros, absl::StatusCode::kOk, ""},
      {zeros + "1", absl::StatusCode::kInvalidArgument, "at most 64 characters"},
      {"-" + zeros, absl::StatusCode::kInvalidArgument, "at most 64 characters"},
      {std::string(1'000'000, '1'), absl::StatusCode::kInvalidArgument, "at most 64 characters"},
      {"0." + zeros.substr(0, 18), absl::StatusCode::kOk, ""},
      {"0." + zeros.substr(0, 19), absl::StatusCode::kInvalidArgument, "at most 18 digits after"},
      {"0." + nines.substr(0, 19), absl::StatusCode::kInvalidArgument, "at most 18 digits after"},
      {nines.substr(0, 20), absl::StatusCode::kOk, ""},
      {zeros.substr(0, 20) + nines.substr(0, 20) + "." + nines.substr(0, 18), absl::StatusCode::kOk,
       ""},
      {nines.substr(0, 21), absl::StatusCode::kOutOfRange, "at most 20 digits before"},
      {"-" + nines.substr(0, 21), absl::StatusCode::kOutOfRange, "at most 20 digits before"},
      {"100000000000000000000", absl::StatusCode::kOutOfRange, "at most 20 digits before"},
      {"-100000000000000000000.5", absl::StatusCode::kOutOfRange, "at most 20 digits before"},
      {nines, absl::StatusCode::kOutOfRange, "at most 20 digits before"},
  };
  for (const Row& row : rows) {
    INFO(row.text.substr(0, 100));
    const absl::Status status = Decimal::Parse(row.text).status();
    CHECK(status.code() == row.code);
    CHECK_THAT(std::string(status.message()), Catch::Contains(row.limit));
  }
}

TEST_CASE("sums overflow at the borders, not before, and leave the result alone") {
  const Decimal max = Decimal::Max(), min = Decimal::Min();
  const Decimal least = D("0.000000000000000001"), zero;
  CHECK(max.ToString() == "99999999999999999999.999999999999999999");
  CHECK(min == -max);
  CHECK(-min == max);
  struct Row {
    Decimal a, b;
    std::optional<Decimal> sum;
  };
  const Row rows[] = {
      {max, zero, max},
      {min, zero, min},
      {max, min, zero},
      {max, least, std::nullopt},
      {min, -least, std::nullopt},
      {max, -least, D("99999999999999999999.999999999999999998")},
      {min, least, D("-99999999999999999999.999999999999999998")},
      {D("99999999999999999999.999999999999999998"), least, max},
      {D("50000000000000000000"), D("50000000000000000000"), std::nullopt},
      {D("50000000000000000000"), D("49999999999999999999.999999999999999999"), max},
      // These exceed 128 bits too.
      {max, max, std::nullopt},
      {min, min, std::nullopt},
      {D("0.1"), D("0.2"), D("0.3")},
      {D("0.1"), D("-0.3"), D("-0.2")},
      {D("10.25"), D("-10.25"), zero},
  };
  for (const Row& row : rows) {
    INFO(row.a << " and " << row.b);
    CHECK(Sum(row.a, row.b) == row.sum);
    CHECK(Sum(row.b, row.a) == row.sum);
    CHECK(Difference(row.a, -row.b) == row.sum);
    Decimal untouched = D("7");
    if (!Decimal::Add(row.a, row.b, &untouched)) CHECK(untouched == D("7"));
    // The result may be one of the operands.
    Decimal total = row.a;
    CHECK(Decimal::Add(total, row.b, &total) == row.sum.has_value());
    CHECK(total == row.sum.value_or(row.a));
  }
}

TEST_CASE("signs, zero and whole numbers") {
  CHECK(Decimal() == D("0"));
  CHECK((D("0").IsZero() && !D("0").IsNegative() && !D("0").IsPositive()));
  CHECK((D("-0.01").IsNegative() && !D("-0.01").IsPositive() && !D("-0.01").IsZero()));
  CHECK((D("0.01").IsPositive() && !D("0.01").IsNegative() && !D("0.01").IsZero()));
  CHECK(D("1.5") == D("1.500"));
  CHECK(D("-2") < D("-1.999999999999999999"));
  CHECK(D("9") < D("10"));
  for (const int64_t number : {int64_t{0}, int64_t{-7}, std::numeric_limits<int64_t>::max(),
                               std::numeric_limits<int64_t>::min()}) {
    CHECK(Decimal::FromInteger(number).ToString() == std::to_string(number));
  }
  CHECK(Decimal::FromUnits(1) == D("0.000000000000000001"));
  CHECK(Decimal::FromUnits(D("-12.5").units()) == D("-12.5"));
  static_assert(Decimal::FromInteger(2) > Decimal::FromInteger(-3));
}

TEST_CASE("random numbers behave as strings of digits do") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  int overflows = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Model model = RandomModel(random), other = RandomModel(random);
    const size_t scale =
        model.FractionDigits() + random() % (Decimal::kScale + 1 - model.FractionDigits());
    const std::string shortest = model.Text(model.FractionDigits()), text = model.Text(scale);
    INFO(shortest << " and " << other.Text(Decimal::kScale));

    const Decimal a = D(text), b = D(other.Text(Decimal::kScale));
    REQUIRE(a == D(shortest));
    REQUIRE(a.ToString() == shortest);
    REQUIRE(a.ToString(static_cast<int>(scale)) == text);
    REQUIRE(static_cast<size_t>(a.FractionDigits()) == model.FractionDigits());
    REQUIRE((-a).ToString() == model.Negated().Text(model.FractionDigits()));
    REQUIRE(a.IsNegative() == model.negative);
    REQUIRE((a < b) == Less(model, other));
    REQUIRE((a > b) == Less(other, model));
    REQUIRE((a == b) == (model.digits == other.digits && model.negative == other.negative));

    const auto check = [&](const std::optional<Decimal>& result,
                           const std::optional<Model>& expected) {
      REQUIRE(result.has_value() == expected.has_value());
      if (!expected.has_value()) ++overflows;
      if (result.has_value()) REQUIRE(result->ToString(18) == expected->Text(18));
    };
    check(Sum(a, b), Sum(model, other));
    check(Difference(a, b), Sum(model, other.Negated()));
  }
  CHECK(overflows > 100);
}

}  // namespace saldo
