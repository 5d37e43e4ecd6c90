#include "common/postgres/params.h"

#include <bit>

#include "common/postgres/numeric.h"
#include "common/postgres/wire.h"

namespace saldo::postgres {

void Params::Put(bool value) { buffer_.push_back(value ? 1 : 0); }
void Params::Put(float value) { PutInt32(std::bit_cast<int32_t>(value)); }
void Params::Put(double value) { PutInt64(std::bit_cast<int64_t>(value)); }
void Params::Put(Decimal value) { wire::AppendNumeric(value, &buffer_); }
void Params::Put(absl::Time value) { PutInt64(wire::FromTime(value)); }

void Params::Add(const std::vector<bool>& values) {
  Begin(TypeOid::kBoolArray);
  PutArrayHeader(values.size(), /*has_null=*/false, TypeOid::kBool);
  for (const bool value : values) PutElement(value);
  End();
}

void Params::PutArrayHeader(size_t count, bool has_null, TypeOid element) {
  PutInt32(count == 0 ? 0 : 1);  // dimensions
  PutInt32(has_null ? 1 : 0);
  PutInt32(static_cast<int32_t>(element));
  if (count == 0) return;
  PutInt32(static_cast<int32_t>(count));
  PutInt32(1);  // lower bound
}

void Params::PutInt32(int32_t value) {
  char bytes[4];
  wire::Store32(bytes, static_cast<uint32_t>(value));
  buffer_.append(bytes, sizeof bytes);
}

void Params::PutInt64(int64_t value) {
  char bytes[8];
  wire::Store64(bytes, static_cast<uint64_t>(value));
  buffer_.append(bytes, sizeof bytes);
}

void Params::PatchLength(size_t at) {
  wire::Store32(buffer_.data() + at, static_cast<uint32_t>(buffer_.size() - at - 4));
}

}  // namespace saldo::postgres
