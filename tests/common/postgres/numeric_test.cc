#include "common/postgres/numeric.h"

#include <catch2/catch.hpp>
#include <random>

#include "tests/common/postgres/postgres_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::postgres {
namespace {

Decimal D(std::string_view text) { return Decimal::Parse(text).value(); }

// Numbers of every count of digits before and after the point, many of them zeros.
Decimal RandomDecimal(std::mt19937_64& random) {
  const auto below = [&](size_t bound) { return random() % bound; };
  const bool mostly_zeros = below(2) == 0;
  const auto digits = [&](size_t count) {
    std::string text;
    while (text.size() < count) {
      text += mostly_zeros && below(6) != 0 ? '0' : static_cast<char>('0' + below(10));
    }
    return text;
  };
  std::string text = below(2) == 0 ? "-" : "";
  text += digits(1 + below(Decimal::kIntegerDigits));
  if (const size_t count = below(Decimal::kScale + 1); count > 0) text += "." + digits(count);
  return D(text);
}

std::vector<Decimal> Samples() {
  std::vector<Decimal> samples = {Decimal(), Decimal::Max(), Decimal::Min()};
  for (const char* text :
       {"1", "0.1", "1.5", "9999", "10000", "10000.0001", "99999999", "100000000",
        "1000000000000000000", "10000000000000000000", "0.000000000000000001", "0.0001", "0.00001",
        "0.0000000000000001", "0.00000000000000001", "10000000000000000000.000000000000000001",
        "1234567890.0987654321", "100000000.00000001"}) {
    samples.push_back(D(text));
    samples.push_back(-D(text));
  }
  std::mt19937_64 random(testing::Seed());
  for (int i = 0; i < 2000; ++i) samples.push_back(RandomDecimal(random));
  return samples;
}

}  // namespace

TEST_CASE("numerics go to the server and come back, as the same text") {
  INFO("SALDO_TEST_SEED=" << testing::Seed());
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  const std::vector<Decimal> samples = Samples();
  std::vector<std::string> texts;
  for (const Decimal sample : samples) texts.push_back(sample.ToString());

  // The server reads the text itself, prints what it was sent, and sends back both.
  constexpr Statement kEcho{
      "test.numeric_echo",
      "SELECT n, n::text, t::numeric, n = t::numeric, t::numeric(38, 18), "
      "-n FROM unnest($1::numeric[], $2::text[]) WITH ORDINALITY AS x (n, t, i) ORDER BY i"};
  auto result = connection->Query(Soon(), kEcho, samples, texts);
  REQUIRE(result.ok());
  auto rows = std::move(*result).As<Decimal, std::string_view, Decimal, bool, Decimal, Decimal>();
  INFO(rows.status().ToString());
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == static_cast<int>(samples.size()));
  for (int i = 0; i < rows->size(); ++i) {
    const auto [sent, text, read, equal, padded, negated] = (*rows)[i];
    const Decimal sample = samples[static_cast<size_t>(i)];
    CHECK(sent == sample);
    CHECK(text == texts[static_cast<size_t>(i)]);
    CHECK(read == sample);
    CHECK(equal);
    CHECK(padded == sample);
    CHECK(negated == -sample);
  }
}

TEST_CASE("a numeric is a parameter by itself, optional, or in an array with NULLs") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kOne{"test.numeric", "SELECT $1::numeric, $2::numeric, $3::numeric"};
  auto result = connection->Query(Soon(), kOne, D("-0.07"), std::optional(D("1.50")),
                                  std::optional<Decimal>());
  REQUIRE(result.ok());
  auto row =
      std::move(*result).One<Decimal, std::optional<Decimal>, std::optional<Decimal>>().value();
  CHECK(row == std::tuple(D("-0.07"), std::optional(D("1.5")), std::optional<Decimal>()));

  constexpr Statement kArray{"test.numeric_array", "SELECT unnest($1::numeric[])"};
  const std::vector<std::optional<Decimal>> values = {D("1"), std::nullopt, D("-2.25")};
  result = connection->Query(Soon(), kArray, values);
  REQUIRE(result.ok());
  auto rows = std::move(*result).As<std::optional<Decimal>>();
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(std::get<0>((*rows)[i]) == values[static_cast<size_t>(i)]);

  CHECK(connection->Query(Soon(), kArray, std::vector<Decimal>()).value().size() == 0);
  CHECK(connection->Query(Soon(), kArray, absl::Span<const Decimal>({D("1"), D("2")}))
            .value()
            .size() == 2);
}

TEST_CASE("a numeric that no Decimal can hold is refused by name, not read") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kRead{"test.numeric_read",
                            "SELECT 1::numeric AS first, $1::text::numeric AS total"};
  struct Row {
    const char* text;
    const char* problem;  // null when it can be held
  };
  const Row rows[] = {
      {"NaN", "NaN"},
      {"Infinity", "an infinity"},
      {"-Infinity", "an infinity"},
      {"99999999999999999999.999999999999999999", nullptr},
      {"-99999999999999999999.999999999999999999", nullptr},
      {"100000000000000000000", "before the point"},
      {"-100000000000000000000", "before the point"},
      {"1e1000", "before the point"},
      {"0.0000000000000000001", "after the point"},
      {"0.00000000000000000001", "after the point"},
      {"-1.0000000000000000000000001", "after the point"},
      {"1e-1000", "after the point"},
      {"0.5000000000000000000000000000000", nullptr},
      {"0.0000000000000000000000000000000", nullptr},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto read = [&] {
      return std::move(connection->Query(Soon(), kRead, row.text).value())
          .One<Decimal, Decimal>()
          .status();
    };
    const auto read_optional = [&] {
      return std::move(connection->Query(Soon(), kRead, row.text).value())
          .As<std::optional<Decimal>, std::optional<Decimal>>()
          .status();
    };
    for (const absl::Status& status : {read(), read_optional()}) {
      if (row.problem == nullptr) {
        CHECK(status.ToString() == "OK");
        continue;
      }
      CHECK(status.code() == absl::StatusCode::kOutOfRange);
      CHECK_THAT(std::string(status.message()), Catch::Contains("column total") &&
                                                    Catch::Contains("row 0") &&
                                                    Catch::Contains(row.problem));
    }
  }
}

TEST_CASE("NULLs and other types of a numeric column are told from bad values") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kNull{"test.numeric_null", "SELECT NULL::numeric"};
  CHECK((*connection->Query(Soon(), kNull)).As<Decimal>().status().code() ==
        absl::StatusCode::kInternal);
  CHECK((*connection->Query(Soon(), kNull)).As<std::optional<Decimal>>().ok());
  constexpr Statement kInteger{"test.numeric_integer", "SELECT 1::int8"};
  CHECK((*connection->Query(Soon(), kInteger)).As<Decimal>().status().code() ==
        absl::StatusCode::kInternal);
}

TEST_CASE("bytes that are no numeric are an error") {
  std::string good;
  wire::AppendNumeric(D("-10000.0001"), &good);
  REQUIRE(wire::ReadNumeric(good).value() == D("-10000.0001"));
  for (size_t size = 0; size < good.size(); ++size) {
    CHECK(wire::ReadNumeric(std::string_view(good).substr(0, size)).status().code() ==
          absl::StatusCode::kInternal);
  }
  CHECK_FALSE(wire::ReadNumeric(good + '\0').ok());
  std::string bad = good;
  bad[4] = 0x12;  // the sign
  CHECK(wire::ReadNumeric(bad).status().code() == absl::StatusCode::kInternal);
  bad = good;
  bad[8] = 0x7f;  // a group of more than 9999
  CHECK(wire::ReadNumeric(bad).status().code() == absl::StatusCode::kInternal);
}

TEST_CASE("arrays of booleans") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kBooleans{"test.booleans", "SELECT $1::bool[]::text, $2::bool[]::text"};
  auto result = connection->Query(Soon(), kBooleans, std::vector<bool>{true, false, true},
                                  std::vector<std::optional<bool>>{false, std::nullopt});
  REQUIRE(result.ok());
  auto row = std::move(*result).One<std::string, std::string>();
  CHECK(row.value() == std::tuple(std::string("{t,f,t}"), std::string("{f,NULL}")));
}

}  // namespace saldo::postgres
