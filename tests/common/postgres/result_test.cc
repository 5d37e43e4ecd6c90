#include "common/postgres/result.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/common/postgres/postgres_test_util.h"

namespace saldo::postgres {

TEST_CASE("every type goes to the server and comes back the same") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kEcho{"test.echo",
                            "SELECT $1::bool, $2::int4, $3::int8, $4::float4, $5::float8, "
                            "$6::text, $7::bytea, $8::timestamptz"};
  const std::string bytes("\0\xff binary", 9);
  const absl::Time times[] = {absl::UnixEpoch(), absl::FromUnixMicros(1'700'000'000'123'456),
                              absl::InfiniteFuture(), absl::InfinitePast(),
                              absl::FromUnixMicros(-62'000'000'000'000'001)};
  for (const absl::Time time : times) {
    auto result = connection->Query(Soon(), kEcho, true, std::numeric_limits<int32_t>::min(),
                                    std::numeric_limits<int64_t>::max(), 1.5F, -2.25, "сальдо",
                                    Bytes{bytes}, time);
    REQUIRE(result.ok());
    auto row =
        std::move(*result)
            .One<bool, int32_t, int64_t, float, double, std::string, std::string, absl::Time>();
    REQUIRE(row.ok());
    CHECK(*row == std::tuple(true, std::numeric_limits<int32_t>::min(),
                             std::numeric_limits<int64_t>::max(), 1.5F, -2.25,
                             std::string("сальдо"), bytes, time));
  }
}

TEST_CASE("NULLs are optionals, in parameters, arrays and columns") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kNulls{"test.nulls", "SELECT $1::int8, $2::text"};
  auto result =
      connection->Query(Soon(), kNulls, std::optional<int64_t>(), std::optional<std::string>("x"));
  REQUIRE(result.ok());
  auto rows = std::move(*result).As<std::optional<int64_t>, std::optional<std::string_view>>();
  REQUIRE(rows.ok());
  CHECK((*rows)[0] == std::tuple(std::optional<int64_t>(), std::optional<std::string_view>("x")));

  constexpr Statement kArray{"test.null_array", "SELECT x FROM unnest($1::text[]) AS x"};
  const std::vector<std::optional<std::string>> values = {"a", std::nullopt, ""};
  result = connection->Query(Soon(), kArray, absl::Span<const std::optional<std::string>>(values));
  REQUIRE(result.ok());
  auto strings = std::move(*result).As<std::optional<std::string>>();
  REQUIRE(strings.ok());
  REQUIRE(strings->size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(std::get<0>((*strings)[i]) == values[i]);
}

TEST_CASE("arrays of any size carry sets of rows") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kRows{
      "test.rows",
      "SELECT a, b, array_agg(a) OVER () FROM unnest($1::int8[], $2::bytea[]) AS t (a, b)"};
  for (const size_t count : {0, 1, 1000}) {
    std::vector<int64_t> numbers;
    std::vector<Bytes> bytes;
    for (size_t i = 0; i < count; ++i) {
      numbers.push_back(static_cast<int64_t>(i));
      bytes.push_back({"value"});
    }
    auto result = connection->Query(Soon(), kRows, numbers, bytes);
    REQUIRE(result.ok());
    auto rows = std::move(*result).As<int64_t, std::string_view, std::vector<int64_t>>();
    REQUIRE(rows.ok());
    REQUIRE(rows->size() == static_cast<int>(count));
    int64_t expected = 0;
    for (const auto& [a, b, all] : *rows) {
      CHECK(a == expected++);
      CHECK(b == "value");
      CHECK(all == numbers);
    }
  }
}

TEST_CASE("reading a result as what it is not is an error, not a crash") {
  const auto connection = Connect(testing::TestPostgres().dsn("postgres"));
  constexpr Statement kRow{"test.row", "SELECT 1::int8, NULL::text"};
  const auto ask = [&] { return *connection->Query(Soon(), kRow); };
  CHECK(ask().As<int64_t>().status().code() == absl::StatusCode::kInternal);
  CHECK(ask().As<std::string, std::optional<std::string>>().status().code() ==
        absl::StatusCode::kInternal);
  CHECK(ask().As<int64_t, std::string>().status().code() == absl::StatusCode::kInternal);
  CHECK(ask().As<int64_t, std::optional<std::string>>().ok());
  constexpr Statement kTwo{"test.two", "SELECT generate_series(1, 2)"};
  CHECK(connection->Query(Soon(), kTwo).value().size() == 2);
  CHECK((*connection->Query(Soon(), kTwo)).One<int32_t>().status().code() ==
        absl::StatusCode::kInternal);
}

}  // namespace saldo::postgres
