// Many faults in one status: its message has one a line.
#pragma once

#include "server/keys/faults.h"

namespace saldo::accounts {

using keys::Faults;
using keys::FaultsOf;
using keys::ToStatus;

}  // namespace saldo::accounts
