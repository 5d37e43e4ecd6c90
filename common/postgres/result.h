// The answer to one statement, in binary, with typed rows.
//
//   SALDO_ASSIGN_OR_RETURN(auto rows, result.As<int64_t, std::string_view,
//   std::optional<absl::Time>>()); for (auto [id, title, updated] : rows) ...
//
// As checks column count, types, NULLs and the range of numerics once; after that, reading cannot
// fail. Views point into the result.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/decimal.h"
#include "common/postgres/oid.h"

struct pg_result;

namespace saldo::postgres {

namespace internal {

struct Cell {
  const char* data;
  int length;
};

// Whether a cell that is not NULL can be read, for a type that cannot hold all values of its
// columns; null for the others, whose cells are not looked at.
using CellCheck = absl::Status (*)(Cell cell);
absl::Status CheckNumeric(Cell cell);

template <typename T>
struct Column;  // one per type that can be read

#define SALDO_POSTGRES_CHECKED_COLUMN(Type, check) \
  template <>                                      \
  struct Column<Type> {                            \
    static constexpr bool kNullable = false;       \
    static constexpr CellCheck kCheckCell = check; \
    static bool Accepts(TypeOid oid);              \
    static Type Read(Cell cell);                   \
  }
#define SALDO_POSTGRES_COLUMN(Type) SALDO_POSTGRES_CHECKED_COLUMN(Type, nullptr)
SALDO_POSTGRES_COLUMN(bool);
SALDO_POSTGRES_COLUMN(int32_t);                         // int4
SALDO_POSTGRES_COLUMN(int64_t);                         // int8
SALDO_POSTGRES_COLUMN(uint64_t);                        // xid8
SALDO_POSTGRES_COLUMN(float);                           // float4
SALDO_POSTGRES_COLUMN(double);                          // float8
SALDO_POSTGRES_CHECKED_COLUMN(Decimal, &CheckNumeric);  // numeric
SALDO_POSTGRES_COLUMN(std::string_view);                // text, varchar, name, json, bytea
SALDO_POSTGRES_COLUMN(std::string);                     // the same, copied
SALDO_POSTGRES_COLUMN(absl::Time);                      // timestamptz
SALDO_POSTGRES_COLUMN(std::vector<int64_t>);            // int8[] without NULLs
SALDO_POSTGRES_COLUMN(std::vector<std::string_view>);   // text[] without NULLs
#undef SALDO_POSTGRES_COLUMN
#undef SALDO_POSTGRES_CHECKED_COLUMN

template <typename T>
struct Column<std::optional<T>> {
  static constexpr bool kNullable = true;
  static constexpr CellCheck kCheckCell = Column<T>::kCheckCell;
  static bool Accepts(TypeOid oid) { return Column<T>::Accepts(oid); }
  static std::optional<T> Read(Cell cell) {
    if (cell.length < 0) return std::nullopt;
    return Column<T>::Read(cell);
  }
};

struct ColumnCheck {
  bool (*accepts)(TypeOid);
  bool nullable;
  CellCheck check_cell;
};

}  // namespace internal

template <typename... Ts>
class Rows;

class Result {
 public:
  Result() = default;
  explicit Result(pg_result* result) : result_(result) {}

  int size() const;
  int columns() const;
  // How many rows an INSERT, UPDATE or DELETE touched.
  int64_t affected() const;

  // INTERNAL when the columns are not of these types, or a NULL stands where the type has none.
  // OUT_OF_RANGE when a numeric is more than a Decimal can hold.
  template <typename... Ts>
  absl::StatusOr<Rows<Ts...>> As() &&;

  // For a statement that answers exactly one row; INTERNAL otherwise. Types must own what they
  // hold.
  template <typename... Ts>
  absl::StatusOr<std::tuple<Ts...>> One() &&;

  internal::Cell cell(int row, int column) const;

 private:
  absl::Status Check(absl::Span<const internal::ColumnCheck> checks) const;

  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// Owns its result. Rows are read as tuples, by index or in a loop.
template <typename... Ts>
class Rows {
 public:
  explicit Rows(Result result) : result_(std::move(result)), size_(result_.size()) {}

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::tuple<Ts...> operator[](int row) const {
    return Read(row, std::index_sequence_for<Ts...>());
  }

  class Iterator {
   public:
    Iterator(const Rows* rows, int row) : rows_(rows), row_(row) {}
    std::tuple<Ts...> operator*() const { return (*rows_)[row_]; }
    Iterator& operator++() {
      ++row_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return row_ != other.row_; }

   private:
    const Rows* rows_;
    int row_;
  };
  Iterator begin() const { return Iterator(this, 0); }
  Iterator end() const { return Iterator(this, size_); }

 private:
  template <size_t... I>
  std::tuple<Ts...> Read(int row, std::index_sequence<I...>) const {
    return std::tuple<Ts...>(internal::Column<Ts>::Read(result_.cell(row, static_cast<int>(I)))...);
  }

  Result result_;
  int size_;
};

template <typename... Ts>
absl::StatusOr<Rows<Ts...>> Result::As() && {
  static constexpr internal::ColumnCheck kChecks[] = {{&internal::Column<Ts>::Accepts,
                                                       internal::Column<Ts>::kNullable,
                                                       internal::Column<Ts>::kCheckCell}...};
  if (absl::Status status = Check(kChecks); !status.ok()) return status;
  return Rows<Ts...>(std::move(*this));
}

template <typename... Ts>
absl::StatusOr<std::tuple<Ts...>> Result::One() && {
  const int count = size();
  auto rows = std::move(*this).As<Ts...>();
  if (!rows.ok()) return rows.status();
  if (count != 1)
    return absl::InternalError("a statement that answers one row answered " +
                               std::to_string(count));
  return (*rows)[0];
}

}  // namespace saldo::postgres
