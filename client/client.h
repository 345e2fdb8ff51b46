// Client: etcd's v3 API as blocking calls with plain types, over one or several endpoints.
// Safe to share between threads: each call waits on its own; one thread of the client's own does
// all I/O. Calls must not be made from that thread.
// Must never repeat a write that may have been applied: such a call ends with maybe_applied set.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/result.h"
#include "client/types.h"

namespace cairn::client {

struct ClientOptions {
    // host:port or http://host:port; tried in this order.
    std::vector<std::string> endpoints = {"127.0.0.1:2379"};
    // For one connection to come about; also how long to go on when no endpoint can be reached.
    std::chrono::nanoseconds dial_timeout = std::chrono::seconds(2);
    // For one call, all its attempts together; the server is told. 0: none.
    std::chrono::nanoseconds request_timeout = std::chrono::seconds(5);
};

// Every call: an error is the server's code and text, or kUnavailable (nobody could be reached),
// kDeadlineExceeded (request_timeout), kCancelled (the client was destroyed).
class Client {
  public:
    // Connects at the first call, so the only error is kInvalidArgument: an endpoint that is none.
    static Result<Client> connect(const ClientOptions& options);
    // Waits for nothing: calls under way on other threads must have ended.
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    Result<GetResponse> get(std::string_view key, const GetOptions& options = {});
    Result<PutResponse> put(std::string_view key, std::string_view value,
                            const PutOptions& options = {});
    Result<DeleteResponse> del(std::string_view key, const DeleteOptions& options = {});
    Result<TxnResponse> txn(const TxnRequest& txn);
    // Forgets history below `revision`; `physical` waits until the space is freed.
    Result<CompactResponse> compact(std::int64_t revision, bool physical = false);

    // `linearizable`: confirmed by a quorum, not one member's view.
    Result<MemberListResponse> member_list(bool linearizable = true);

    // These speak of the one member that answers: give such a client one endpoint.
    Result<StatusResponse> status();
    // Of all keys up to `revision`; 0: the newest.
    Result<HashKvResponse> hash_kv(std::int64_t revision = 0);

    // The raised alarms of all members.
    Result<AlarmListResponse> alarm_list();

  private:
    struct Impl;
    explicit Client(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::client
