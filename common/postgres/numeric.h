// PostgreSQL's binary format of numeric: groups of four decimal digits.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/base/decimal.h"

namespace saldo::postgres::wire {

void AppendNumeric(Decimal value, std::string* bytes);

// OUT_OF_RANGE when a Decimal cannot hold the number: NaN, an infinity, too large, too many digits
// after the point. INTERNAL when the bytes are no numeric.
absl::StatusOr<Decimal> ReadNumeric(std::string_view bytes);

}  // namespace saldo::postgres::wire
