#include "bench/ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/devstack/files.h"

namespace saldo::bench {
namespace {

constexpr const char* kTypes = R"(types:
  - name: bench_fee
    key: [{name: client_id, kind: integer}, {name: currency}]
    auxiliary: [{name: product}, {name: region}]
    asset: currency
    groupings: ["product", "region", "product, region"]
  - name: bench_wallet
    key: [{name: client_id, kind: integer}, {name: currency}]
    asset: currency
    min_balance: "0"
  - name: bench_purse
    key: [{name: client_id, kind: integer}, {name: currency}]
    asset: currency
    min_balance: "-100000000000000"
)";

constexpr const char* kProducts[] = {"taxi", "food", "rent"};
constexpr const char* kRegions[] = {"north", "south"};

}  // namespace

absl::StatusOr<Program> StartLedger(Stack& stack, const std::string& database,
                                    std::vector<std::string> arguments) {
  const std::string path = stack.File("types.yaml");
  SALDO_RETURN_IF_ERROR(devstack::WriteFile(path, kTypes));
  arguments.push_back("--ledger.types_file=" + path);
  SALDO_ASSIGN_OR_RETURN(Program server,
                         stack.StartProgram("saldo-server", database, std::move(arguments)));
  SALDO_RETURN_IF_ERROR(stack.AwaitReady(server));
  return server;
}

v1::NewEvent BenchEvent(const char* type, int64_t client) {
  v1::NewEvent event;
  event.mutable_account()->set_type(type);
  auto& key = *event.mutable_account()->mutable_key();
  key["client_id"] = absl::StrCat(client);
  key["currency"] = "RUB";
  if (type == kFee) {
    const uint64_t random = Scramble(static_cast<uint64_t>(client));
    (*event.mutable_attributes())["product"] = kProducts[random % 3];
    (*event.mutable_attributes())["region"] = kRegions[random / 3 % 2];
  }
  event.set_side(v1::SIDE_CREDIT);
  event.set_amount("12.50");
  return event;
}

uint64_t Scramble(uint64_t number) {
  uint64_t z = number + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace saldo::bench
