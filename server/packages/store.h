// Packages in PostgreSQL. A change and its event are one transaction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/call_context.h"
#include "common/postgres/pool.h"
#include "server/outbox/outbox.h"
#include "server/packages/creation.h"
#include "server/packages/rules.h"

namespace saldo::packages {

// Thread-safe. What names a package that is not there is NOT_FOUND.
class PackageStore {
 public:
  // `pool` and `outbox` outlive the store. Events go to `topic`.
  PackageStore(postgres::Pool& pool, const outbox::Outbox& outbox, std::string topic)
      : pool_(pool), outbox_(outbox), topic_(topic), creation_(pool, outbox, std::move(topic)) {}

  absl::StatusOr<int64_t> Create(const CallContext& context, const NewPackage& package);
  absl::StatusOr<Package> Describe(const CallContext& context, int64_t id);
  // By id.
  absl::StatusOr<std::vector<Package>> List(const CallContext& context, const rpc::Page& page);
  absl::Status Remove(const CallContext& context, int64_t id);
  // False when the package is so already: nothing is written then.
  absl::StatusOr<bool> Update(const CallContext& context, const PackageUpdate& update);

 private:
  postgres::Pool& pool_;
  const outbox::Outbox& outbox_;
  const std::string topic_;
  Creation creation_;
};

}  // namespace saldo::packages
