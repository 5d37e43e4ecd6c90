#include "common/base/decimal.h"

#include <catch2/catch.hpp>

namespace saldo {

TEST_CASE("smoke") { CHECK(Decimal::Parse("-12.50")->ToString() == "-12.5"); }

}  // namespace saldo
