#include "server/accounts/writing/fingerprint.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace saldo::accounts {
namespace {

void AppendNumber(std::string* out, int64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof bytes);
}

// With its length, so that no two lists of texts give the same bytes.
void AppendText(std::string* out, std::string_view text) {
  AppendNumber(out, static_cast<int64_t>(text.size()));
  out->append(text);
}

}  // namespace

Fingerprint FingerprintOf(const v1::WriteEventsRequest& request, const WriteRequest& checked) {
  std::string content;
  AppendNumber(&content, checked.balanced ? 1 : 0);
  for (size_t i = 0; i < checked.postings.size(); ++i) {
    const Posting& posting = checked.postings[i];
    const bool dated = request.events(static_cast<int>(i)).has_occurred_at();
    AppendText(&content, posting.type->name);
    AppendText(&content, posting.key);
    AppendText(&content, posting.attributes);
    AppendText(&content, posting.amount.ToString());
    AppendNumber(&content, posting.is_credit ? 1 : 0);
    AppendNumber(&content, dated ? absl::ToUnixMicros(posting.occurred_at) : -1);
    AppendText(&content, posting.info);
  }
  return FingerprintOf(content);
}

Fingerprint FingerprintOf(std::string_view content) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest);
  Fingerprint result;
  std::copy_n(digest, result.size(), result.begin());
  return result;
}

void Attach(std::shared_ptr<const Attachment> attachment, WriteRequest* request) {
  const std::string content = attachment->Content();
  if (!content.empty()) {
    std::string all(request->fingerprint.data(), request->fingerprint.size());
    AppendText(&all, content);
    request->fingerprint = FingerprintOf(std::string_view(all));
  }
  request->attachments.push_back(std::move(attachment));
}

}  // namespace saldo::accounts
