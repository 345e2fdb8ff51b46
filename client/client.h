// Client: etcd's v3 API over one or several endpoints, as blocking calls and as Asio operations.
// Safe to share between threads; copies share their connections. One thread of the client's own
// does all I/O: on it no call may block, which only a completion without executor could try.
// Must never repeat a write that may have been applied: such a call ends with maybe_applied set.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/result.h"
#include "client/txn.h"
#include "client/types.h"

namespace cairn::client {

class Core;

struct ClientOptions {
    // host:port or http://host:port, with or without a path, of which nothing is made. Calls are
    // spread over them, the first begins at the first.
    std::vector<std::string> endpoints = {"127.0.0.1:2379"};
    // For one connection to come about; also how long to go on when no endpoint can be reached.
    std::chrono::nanoseconds dial_timeout = std::chrono::seconds(2);
    // For one call, all its attempts together; the server is told. 0: none; less: it is over, and
    // the call ends as kDeadlineExceeded without being sent.
    std::chrono::nanoseconds request_timeout = std::chrono::seconds(5);
    // While an answer is a stream: a server that says nothing for so long is pinged (etcd's end a
    // connection that pings more often than every five seconds), and taken for lost when it still
    // says nothing for so long after: kUnavailable.
    std::chrono::nanoseconds keepalive_time = std::chrono::seconds(10);
    std::chrono::nanoseconds keepalive_timeout = std::chrono::seconds(6);
};

// Every call: an error is the server's code and text, or kUnavailable (nobody could be reached),
// kDeadlineExceeded (request_timeout), kCancelled (cancelled, or the client was destroyed).
//
// Each call `x` also is `async_x`, with the same parameters and a completion token last: an Asio
// operation with the signature void(Result<…>). To use them include client/async.h, which needs
// Boost.Asio and says where completions run; the rest of the library's headers need no Boost.
//
// With the last copy go the connections: calls under way end as kCancelled before the destructor
// returns; blocking calls of other threads must have ended before.
class Client {
  public:
    // Connects at the first call, so the only error is kInvalidArgument: an endpoint that is none.
    static Result<Client> connect(const ClientOptions& options);
    // The same client, but for its request_timeout.
    [[nodiscard]] Client with_timeout(std::chrono::nanoseconds request_timeout) const;

    Result<GetResponse> get(std::string_view key, const GetOptions& options = {});
    Result<PutResponse> put(std::string_view key, std::string_view value,
                            const PutOptions& options = {});
    Result<DeleteResponse> del(std::string_view key, const DeleteOptions& options = {});
    // Without puts and deletes it is a read, and repeated as one.
    Result<TxnResponse> txn(const TxnRequest& txn);
    // The same, written as a sentence: client/txn.h.
    TxnBuilder txn() { return TxnBuilder(*this); }
    // Forgets history below `revision`; `physical` waits until the space is freed.
    Result<CompactResponse> compact(std::int64_t revision, bool physical = false);

    // `linearizable`: confirmed by a quorum, not one member's view.
    Result<MemberListResponse> member_list(bool linearizable = true);
    Result<MemberAddResponse> member_add(const MemberAddRequest& request);
    Result<MemberListResponse> member_remove(std::uint64_t id);
    Result<MemberListResponse> member_update(const MemberUpdateRequest& request);
    Result<MemberListResponse> member_promote(std::uint64_t id);

    // These speak of, or to, the one member that answers: give such a client one endpoint.
    Result<StatusResponse> status();
    // Of all keys up to `revision`; 0: the newest.
    Result<HashKvResponse> hash_kv(std::int64_t revision = 0);
    Result<HashResponse> hash();
    Result<DefragmentResponse> defragment();
    // Only the leader does it.
    Result<MoveLeaderResponse> move_leader(std::uint64_t target);

    // The raised alarms of all members.
    Result<AlarmListResponse> alarm_list();
    Result<AlarmListResponse> alarm_disarm(const Alarm& alarm);
    Result<DowngradeResponse> downgrade(DowngradeAction action, std::string_view version);

    // Any request of types.h that names a Response.
    template <class Request, class Token>
    auto async_call(Request request, Token&& token);

    template <class Token>
    auto async_get(std::string_view key, GetOptions options, Token&& token) {
        return async_call(GetOp{std::string(key), std::move(options)}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_get(std::string_view key, Token&& token) {
        return async_get(key, GetOptions{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_put(std::string_view key, std::string_view value, PutOptions options,
                   Token&& token) {
        return async_call(PutOp{std::string(key), std::string(value), options},
                          std::forward<Token>(token));
    }
    template <class Token>
    auto async_put(std::string_view key, std::string_view value, Token&& token) {
        return async_put(key, value, PutOptions{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_del(std::string_view key, DeleteOptions options, Token&& token) {
        return async_call(DeleteOp{std::string(key), std::move(options)},
                          std::forward<Token>(token));
    }
    template <class Token>
    auto async_del(std::string_view key, Token&& token) {
        return async_del(key, DeleteOptions{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_txn(TxnRequest txn, Token&& token) {
        return async_call(std::move(txn), std::forward<Token>(token));
    }
    template <class Token>
    auto async_compact(std::int64_t revision, bool physical, Token&& token) {
        return async_call(CompactRequest{revision, physical}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_compact(std::int64_t revision, Token&& token) {
        return async_compact(revision, false, std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_list(bool linearizable, Token&& token) {
        return async_call(MemberListRequest{linearizable}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_list(Token&& token) {
        return async_member_list(true, std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_add(MemberAddRequest request, Token&& token) {
        return async_call(std::move(request), std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_remove(std::uint64_t id, Token&& token) {
        return async_call(MemberRemoveRequest{id}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_update(MemberUpdateRequest request, Token&& token) {
        return async_call(std::move(request), std::forward<Token>(token));
    }
    template <class Token>
    auto async_member_promote(std::uint64_t id, Token&& token) {
        return async_call(MemberPromoteRequest{id}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_status(Token&& token) {
        return async_call(StatusRequest{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_hash_kv(std::int64_t revision, Token&& token) {
        return async_call(HashKvRequest{revision}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_hash_kv(Token&& token) {
        return async_hash_kv(0, std::forward<Token>(token));
    }
    template <class Token>
    auto async_hash(Token&& token) {
        return async_call(HashRequest{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_defragment(Token&& token) {
        return async_call(DefragmentRequest{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_move_leader(std::uint64_t target, Token&& token) {
        return async_call(MoveLeaderRequest{target}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_alarm_list(Token&& token) {
        return async_call(AlarmListRequest{}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_alarm_disarm(Alarm alarm, Token&& token) {
        return async_call(AlarmDisarmRequest{alarm}, std::forward<Token>(token));
    }
    template <class Token>
    auto async_downgrade(DowngradeAction action, std::string_view version, Token&& token) {
        return async_call(DowngradeRequest{action, std::string(version)},
                          std::forward<Token>(token));
    }

  private:
    Client(std::shared_ptr<Core> core, std::chrono::nanoseconds request_timeout);

    std::shared_ptr<Core> core_;
    std::chrono::nanoseconds request_timeout_;
};

}  // namespace cairn::client
