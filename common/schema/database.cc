#include "common/schema/database.h"

#include "common/schema/await.h"

namespace saldo::schema {

absl::Status Database::Start() {
  const auto pause = [this](absl::Duration time) {
    return pause_ != nullptr ? pause_(time) : stop_.WaitFor(time);
  };
  return AwaitCurrent(pool_, start_timeout_, pause);
}

void Database::Stop() {
  Interrupt();
  pool_.Close();
}

}  // namespace saldo::schema
