// How commands reach PostgreSQL.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "common/postgres/connection.h"

namespace saldo::cli {

// --postgres.dsn, for CommandSpec::options.
Option DsnOption();

// What --postgres.dsn, SALDO_POSTGRES_DSN or the file named by SALDO_POSTGRES_DSN_FILE says; a
// usage error when none does. The variables keep a password out of the list of processes.
absl::StatusOr<std::string> FindDsn(const Args& args);

// A connection there. No statement may take longer than `statement_timeout`.
absl::StatusOr<std::unique_ptr<postgres::Connection>> ConnectToDatabase(
    const Args& args, absl::Duration statement_timeout);

}  // namespace saldo::cli
