#include "cli/database.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr const char* kOption = "postgres.dsn";
constexpr const char* kVariable = "SALDO_POSTGRES_DSN";
constexpr const char* kFileVariable = "SALDO_POSTGRES_DSN_FILE";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Option DsnOption() {
  return {kOption, "DSN",
          "the database, as libpq's keywords or URI; else $SALDO_POSTGRES_DSN, or the content of "
          "the file $SALDO_POSTGRES_DSN_FILE"};
}

absl::StatusOr<std::string> FindDsn(const Args& args) {
  std::string dsn = args.Get(kOption, Variable(kVariable));
  const std::string path = Variable(kFileVariable);
  if (dsn.empty() && !path.empty()) {
    std::ifstream file(path);
    std::stringstream content;
    content << file.rdbuf();
    if (!file) return UsageError(absl::StrCat(kFileVariable, ": cannot read ", path));
    dsn = std::string(absl::StripTrailingAsciiWhitespace(content.str()));
  }
  if (dsn.empty()) {
    return UsageError(absl::StrCat("which database? give --", kOption, "=DSN or set ", kVariable));
  }
  return dsn;
}

absl::StatusOr<std::unique_ptr<postgres::Connection>> ConnectToDatabase(
    const Args& args, absl::Duration statement_timeout) {
  postgres::ConnectionOptions options;
  SALDO_ASSIGN_OR_RETURN(options.dsn, FindDsn(args));
  options.application_name = "saldo-cli";
  options.connect_timeout = kConnectTimeout;
  options.statement_timeout = statement_timeout;
  return postgres::Connection::Open(options, CallContext::WithTimeout(kConnectTimeout));
}

}  // namespace saldo::cli
