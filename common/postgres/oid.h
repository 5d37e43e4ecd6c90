// The object ids of the built-in types that cross our border, from PostgreSQL's catalog
// pg_type.dat.
#pragma once

#include <cstdint>

namespace saldo::postgres {

enum class TypeOid : uint32_t {
  kBool = 16,
  kBytea = 17,
  kName = 19,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kUnknown = 705,
  kBoolArray = 1000,
  kByteaArray = 1001,
  kInt4Array = 1007,
  kTextArray = 1009,
  kInt8Array = 1016,
  kFloat4Array = 1021,
  kFloat8Array = 1022,
  kVarchar = 1043,
  kTimestamptz = 1184,
  kTimestamptzArray = 1185,
  kNumericArray = 1231,
  kNumeric = 1700,
  kXid8 = 5069,
};

}  // namespace saldo::postgres
