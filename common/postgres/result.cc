#include "common/postgres/result.h"

#include <libpq-fe.h>

#include <bit>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/postgres/numeric.h"
#include "common/postgres/wire.h"

namespace saldo::postgres {
namespace {

bool IsTextual(TypeOid oid) {
  return oid == TypeOid::kText || oid == TypeOid::kVarchar || oid == TypeOid::kName ||
         oid == TypeOid::kJson || oid == TypeOid::kBytea || oid == TypeOid::kUnknown;
}

// Calls `take` with each element of a one-dimensional binary array without NULLs.
template <typename Take>
void ForEachElement(internal::Cell cell, Take take) {
  constexpr int kHeader = 12, kDimension = 8;
  if (cell.length < kHeader + kDimension || wire::Load32(cell.data) == 0) return;
  const uint32_t count = wire::Load32(cell.data + kHeader);
  const char* at = cell.data + kHeader + kDimension;
  const char* const end = cell.data + cell.length;
  for (uint32_t i = 0; i < count && at + 4 <= end; ++i) {
    const auto length = static_cast<int32_t>(wire::Load32(at));
    at += 4;
    if (length < 0 || at + length > end) return;
    take(internal::Cell{at, length});
    at += length;
  }
}

}  // namespace

namespace internal {

bool Column<bool>::Accepts(TypeOid oid) { return oid == TypeOid::kBool; }
bool Column<bool>::Read(Cell cell) { return *cell.data != 0; }

bool Column<int32_t>::Accepts(TypeOid oid) { return oid == TypeOid::kInt4; }
int32_t Column<int32_t>::Read(Cell cell) { return static_cast<int32_t>(wire::Load32(cell.data)); }

bool Column<int64_t>::Accepts(TypeOid oid) { return oid == TypeOid::kInt8; }
int64_t Column<int64_t>::Read(Cell cell) { return static_cast<int64_t>(wire::Load64(cell.data)); }

bool Column<uint64_t>::Accepts(TypeOid oid) { return oid == TypeOid::kXid8; }
uint64_t Column<uint64_t>::Read(Cell cell) { return wire::Load64(cell.data); }

bool Column<float>::Accepts(TypeOid oid) { return oid == TypeOid::kFloat4; }
float Column<float>::Read(Cell cell) { return std::bit_cast<float>(wire::Load32(cell.data)); }

bool Column<double>::Accepts(TypeOid oid) { return oid == TypeOid::kFloat8; }
double Column<double>::Read(Cell cell) { return std::bit_cast<double>(wire::Load64(cell.data)); }

absl::Status CheckNumeric(Cell cell) {
  return wire::ReadNumeric({cell.data, static_cast<size_t>(cell.length)}).status();
}
bool Column<Decimal>::Accepts(TypeOid oid) { return oid == TypeOid::kNumeric; }
Decimal Column<Decimal>::Read(Cell cell) {
  return *wire::ReadNumeric({cell.data, static_cast<size_t>(cell.length)});
}

bool Column<std::string_view>::Accepts(TypeOid oid) { return IsTextual(oid); }
std::string_view Column<std::string_view>::Read(Cell cell) {
  return {cell.data, static_cast<size_t>(cell.length)};
}

bool Column<std::string>::Accepts(TypeOid oid) { return IsTextual(oid); }
std::string Column<std::string>::Read(Cell cell) {
  return {cell.data, static_cast<size_t>(cell.length)};
}

bool Column<absl::Time>::Accepts(TypeOid oid) { return oid == TypeOid::kTimestamptz; }
absl::Time Column<absl::Time>::Read(Cell cell) {
  return wire::ToTime(static_cast<int64_t>(wire::Load64(cell.data)));
}

bool Column<std::vector<int64_t>>::Accepts(TypeOid oid) { return oid == TypeOid::kInt8Array; }
std::vector<int64_t> Column<std::vector<int64_t>>::Read(Cell cell) {
  std::vector<int64_t> values;
  ForEachElement(cell, [&](Cell element) { values.push_back(Column<int64_t>::Read(element)); });
  return values;
}

bool Column<std::vector<std::string_view>>::Accepts(TypeOid oid) {
  return oid == TypeOid::kTextArray;
}
std::vector<std::string_view> Column<std::vector<std::string_view>>::Read(Cell cell) {
  std::vector<std::string_view> values;
  ForEachElement(cell,
                 [&](Cell element) { values.push_back(Column<std::string_view>::Read(element)); });
  return values;
}

}  // namespace internal

void Result::Clear::operator()(pg_result* result) const { PQclear(result); }

int Result::size() const { return result_ ? PQntuples(result_.get()) : 0; }

int Result::columns() const { return result_ ? PQnfields(result_.get()) : 0; }

int64_t Result::affected() const {
  int64_t count = 0;
  if (result_ == nullptr || !absl::SimpleAtoi(PQcmdTuples(result_.get()), &count)) return 0;
  return count;
}

internal::Cell Result::cell(int row, int column) const {
  if (PQgetisnull(result_.get(), row, column) != 0) return {nullptr, -1};
  return {PQgetvalue(result_.get(), row, column), PQgetlength(result_.get(), row, column)};
}

absl::Status Result::Check(absl::Span<const internal::ColumnCheck> checks) const {
  if (columns() != static_cast<int>(checks.size())) {
    return absl::InternalError(
        absl::StrCat("a result of ", columns(), " columns was read as ", checks.size()));
  }
  for (int column = 0; column < columns(); ++column) {
    const Oid oid = PQftype(result_.get(), column);
    if (!checks[column].accepts(static_cast<TypeOid>(oid))) {
      return absl::InternalError(absl::StrCat("column ", PQfname(result_.get(), column),
                                              " of type ", oid, " was read as another type"));
    }
    const internal::CellCheck check_cell = checks[column].check_cell;
    if (checks[column].nullable && check_cell == nullptr) continue;
    for (int row = 0; row < size(); ++row) {
      const bool null = PQgetisnull(result_.get(), row, column) != 0;
      if (null && !checks[column].nullable) {
        return absl::InternalError(
            absl::StrCat("column ", PQfname(result_.get(), column), " is NULL in row ", row));
      }
      if (null || check_cell == nullptr) continue;
      if (absl::Status status = check_cell(cell(row, column)); !status.ok()) {
        return absl::Status(status.code(),
                            absl::StrCat("column ", PQfname(result_.get(), column),
                                         " cannot be read in row ", row, ": ", status.message()));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace saldo::postgres
