// Brings a database's schema forward, and tells whether it fits this program. Migrations only go
// forward, each in a transaction of its own, recorded with the checksum of its text.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/postgres/connection.h"
#include "common/schema/migrations.h"

namespace saldo::schema {

enum class State {
  kApplied,
  kPending,  // this program has it, the database not yet
  kAltered,  // the database has another text under this version
  kNewer,    // the database has it, this program does not: a later version was here
};

struct MigrationState {
  int version;
  std::string name;
  State state;
  absl::Time applied_at;  // only when the database has it
};

// Every migration that the program or the database knows, by version.
absl::StatusOr<std::vector<MigrationState>> Inspect(postgres::Connection& connection,
                                                    const CallContext& context);

// Applies what is pending, `migrations` in order, each once: under an advisory lock, so that
// programs started together do not meet. `applied` hears of each one after its commit.
// FAILED_PRECONDITION when an applied one was altered.
absl::Status Up(postgres::Connection& connection, const CallContext& context,
                absl::Span<const Migration> migrations,
                absl::FunctionRef<void(const Migration&)> applied);

// OK when this program can work on the database: nothing pending, nothing altered. A newer schema
// is fine, for migrations keep running programs working. FAILED_PRECONDITION otherwise, saying what
// to run.
absl::Status CheckCurrent(postgres::Connection& connection, const CallContext& context);

}  // namespace saldo::schema
