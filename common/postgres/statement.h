// A parameterised SQL statement with a name. Declare it constexpr beside its use in a store:
//
//   constexpr postgres::Statement kInsertPackage{"packages.insert", "INSERT INTO packages (title)
//   VALUES ($1) RETURNING id"};
//
// It is prepared once per connection, under its name, when it is first sent there.
#pragma once

#include <string_view>

namespace saldo::postgres {

struct Statement {
  // Unique in the program, "<slice>.<verb>"; names the span and the metric of the statement as
  // well.
  std::string_view name;
  std::string_view sql;
};

}  // namespace saldo::postgres
