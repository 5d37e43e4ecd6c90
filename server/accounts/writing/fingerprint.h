// What tells a repeated request from another one under the same id. Pure.
#pragma once

#include <memory>
#include <string_view>

#include "saldo/v1/account_service.pb.h"
#include "server/accounts/writing/request.h"

namespace saldo::accounts {

// Of everything that the request asks to be written, in a canonical form: "1.50" is "1.5", the
// order of attributes does not count, and a time that is left to the server is the same in each
// repetition. `checked` is the request after its checks.
Fingerprint FingerprintOf(const v1::WriteEventsRequest& request, const WriteRequest& checked);

// The same of any canonical form of a request's content.
Fingerprint FingerprintOf(std::string_view content);

// Has the request bring `attachment`, whose content becomes a part of what the request is.
void Attach(std::shared_ptr<const Attachment> attachment, WriteRequest* request);

}  // namespace saldo::accounts
