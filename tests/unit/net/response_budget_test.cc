// What answers may take together, and who is told when there is room again.
#include "server/net/response_budget.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"
#include <boost/asio/io_context.hpp>

namespace cairn::server::net {
namespace {

constexpr std::uint64_t kMiB = 1024U * 1024U;
constexpr std::uint64_t kBudget = 16 * kMiB;
constexpr std::uint64_t kLargest = 14 * kMiB;

struct Fixture {
    boost::asio::io_context reactor;
    std::shared_ptr<ResponseBudget> budget =
        std::make_shared<ResponseBudget>(reactor.get_executor(), kBudget);

    [[nodiscard]] std::unique_ptr<HeldAnswer> answer() const {
        return std::make_unique<HeldAnswer>(budget, nullptr);
    }
};

// Counts how often it was told.
struct Told : ResponseBudget::Waiter {
    void on_room() override { ++times; }
    int times = 0;
};

// Appends `count` times `piece` as a read would.
Result<void> write(HeldAnswer& answer, const std::string& piece, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        CAIRN_TRY(storage::mvcc::make_room(answer.body, piece.size(), &answer));
        answer.body += piece;
    }
    return ok();
}

}  // namespace

TEST_CASE("an answer holds what its buffer may take, until it goes", "[net][response_budget]") {
    const Fixture given;
    auto answer = given.answer();
    REQUIRE(write(*answer, std::string(1000, 'a'), 5000).has_value());
    answer->settle();
    CHECK(answer->body.size() == 5'000'000);
    CHECK(given.budget->held_bytes() >= answer->body.capacity() - 15);
    CHECK(given.budget->held_bytes() <= answer->body.capacity());
    CHECK(answer->short_of_bytes() == 0);
    answer.reset();
    CHECK(given.budget->held_bytes() == 0);
}

TEST_CASE("the smallest answers are not counted", "[net][response_budget]") {
    const Fixture given;
    const auto answer = given.answer();
    REQUIRE(write(*answer, std::string(100, 'a'), 4).has_value());
    answer->settle();
    CHECK(given.budget->held_bytes() == 0);
}

TEST_CASE("one answer may have all that large answers may have", "[net][response_budget]") {
    const Fixture given;
    CHECK(given.budget->answer_bytes_max() == kLargest);
    auto answer = given.answer();
    // Doubling from anywhere would miss it.
    REQUIRE(write(*answer, std::string(kMiB / 4, 'a'), 4 * 14).has_value());
    CHECK(answer->body.size() == kLargest);
    const auto more = write(*answer, "b", 1);
    REQUIRE(more.has_error());
    CHECK(more.error().code == Errc::kMessageTooLarge);
    CHECK(more.error().detail.find("14680064 bytes") != std::string::npos);
    CHECK(answer->short_of_bytes() > given.budget->answer_bytes_max());
}

TEST_CASE("an answer that finds no room says how much it needs and gives up what it has",
          "[net][response_budget]") {
    const Fixture given;
    const auto first = given.answer();
    REQUIRE(write(*first, std::string(kMiB, 'a'), 7).has_value());
    CHECK(given.budget->held_bytes() / kMiB ==
          6);  // 7 MiB but for what a string has from the start
    const auto second = given.answer();
    REQUIRE(write(*second, std::string(kMiB, 'a'), 7).has_value());
    REQUIRE(write(*second, "b", 1).has_error());
    CHECK(second->short_of_bytes() + 15 == kLargest);
    second->drop();
    CHECK(second->body.capacity() < 1024);
    CHECK(given.budget->held_bytes() <= 7 * kMiB);
    // It comes again with its claim.
    CHECK_FALSE(given.budget->has_room(second->short_of_bytes()));
    CHECK_FALSE(given.answer()->reserve(second->short_of_bytes()));
    first->drop();
    CHECK(given.budget->has_room(second->short_of_bytes()));
    const auto again = given.answer();
    REQUIRE(again->reserve(second->short_of_bytes()));
    const std::uint64_t held = given.budget->held_bytes();
    CHECK(held == second->short_of_bytes());
    REQUIRE(write(*again, std::string(kMiB, 'a'), 8).has_value());
    CHECK(given.budget->held_bytes() == held);
}

TEST_CASE("a claim that was too much goes back", "[net][response_budget]") {
    const Fixture given;
    const auto answer = given.answer();
    REQUIRE(answer->reserve(8 * kMiB));
    REQUIRE(write(*answer, std::string(100'000, 'a'), 1).has_value());
    CHECK(given.budget->held_bytes() == 8 * kMiB);
    answer->settle();
    CHECK(given.budget->held_bytes() <= 200'000);
    CHECK(given.budget->held_bytes() >= 100'000);
}

TEST_CASE("large answers leave room for small ones", "[net][response_budget]") {
    const Fixture given;
    REQUIRE(given.budget->take(kLargest, kLargest));
    CHECK_FALSE(
        given.budget->take(ResponseBudget::kSmallBytesMax + 1, ResponseBudget::kSmallBytesMax + 1));
    CHECK_FALSE(given.budget->has_room(ResponseBudget::kSmallBytesMax + 1));
    CHECK(given.budget->has_room(0));
    CHECK(given.budget->has_room(ResponseBudget::kSmallBytesMax));
    std::vector<std::unique_ptr<HeldAnswer>> small;
    do {
        small.push_back(given.answer());
    } while (write(*small.back(), std::string(100'000, 'a'), 1).has_value());
    CHECK(small.size() > 10);
    CHECK(given.budget->held_bytes() <= kBudget);
    given.budget->give_back(kLargest);
}

TEST_CASE("answers that cannot be refused are counted all the same", "[net][response_budget]") {
    const Fixture given;
    auto kept = given.budget->keep(Bytes::copy_of(std::string(kBudget, 'a')));
    CHECK(kept->size() == kBudget);
    CHECK(given.budget->held_bytes() == kBudget);
    CHECK_FALSE(given.budget->has_room(0));
    auto more = given.budget->keep(Bytes::copy_of(std::string(kMiB, 'a')));
    CHECK(given.budget->held_bytes() == kBudget + kMiB);
    CHECK_FALSE(given.budget->take(1, 1));
    kept.reset();
    more.reset();
    CHECK(given.budget->held_bytes() == 0);
}

TEST_CASE("a write claims before what its answer may need", "[net][response_budget]") {
    const Fixture given;
    std::vector<std::uint64_t> claims;
    for (std::uint64_t next = given.budget->next_write_claim(0); next > 0;
         next = given.budget->next_write_claim(next)) {
        claims.push_back(next);
    }
    CHECK(claims == std::vector<std::uint64_t>{128 * 1024, 2 * kMiB, 12 * kMiB});
    CHECK(ResponseBudget::bound_of(claims.back()) == given.budget->write_answer_bytes_max());

    auto first = given.budget->claim_for_write(12 * kMiB);
    REQUIRE(first != nullptr);
    CHECK(given.budget->held_bytes() == 12 * kMiB);
    CHECK(given.budget->claim_for_write(4 * kMiB) == nullptr);
    CHECK(given.budget->claim_for_write(128 * 1024) != nullptr);
    CHECK(given.budget->held_bytes() == 12 * kMiB);
    // However many they are, they leave something to small reads.
    std::vector<std::shared_ptr<const void>> small;
    while (auto claim = given.budget->claim_for_write(ResponseBudget::kFirstWriteClaim)) {
        small.push_back(std::move(claim));
    }
    CHECK(given.budget->held_bytes() == 15 * kMiB);
    CHECK_FALSE(given.budget->has_room(ResponseBudget::kFirstWriteClaim));
    CHECK(given.budget->has_room(1024));
    small.clear();
    first.reset();
    CHECK(given.budget->held_bytes() == 0);
}

TEST_CASE("an answer that nobody wants any more is not written", "[net][response_budget]") {
    const Fixture given;
    const auto wanted = std::make_shared<std::atomic<bool>>(true);
    HeldAnswer answer(given.budget, wanted);
    CHECK(answer.go_on().has_value());
    CHECK(answer.grow(10'000).has_value());
    *wanted = false;
    CHECK(answer.go_on().error().code == Errc::kCanceled);
    CHECK(answer.grow(1).error().code == Errc::kCanceled);
    CHECK(answer.short_of_bytes() == 0);
}

TEST_CASE("whoever waits is told once when something was given back", "[net][response_budget]") {
    Fixture given;
    const auto first = std::make_shared<Told>();
    const auto second = std::make_shared<Told>();
    REQUIRE(given.budget->take(2 * kMiB, 2 * kMiB));
    given.budget->wait(first);
    given.reactor.run();
    CHECK(first->times == 0);
    given.budget->wait(second);
    given.budget->wait(std::make_shared<Told>());  // has gone
    given.budget->give_back(kMiB);
    CHECK(first->times == 0);  // never from inside
    given.budget->give_back(kMiB);
    given.reactor.restart();
    given.reactor.run();
    CHECK(first->times == 1);
    CHECK(second->times == 1);
    given.budget->wait(first);
    given.budget->stop();
    REQUIRE(given.budget->take(1, 1));
    given.budget->give_back(1);
    given.reactor.restart();
    given.reactor.run();
    CHECK(first->times == 1);
}

TEST_CASE("waiters that have gone are forgotten", "[net][response_budget]") {
    const Fixture given;
    const auto stays = std::make_shared<Told>();
    given.budget->wait(stays);
    for (int i = 0; i < 10'000; ++i) {
        given.budget->wait(std::make_shared<Told>());
    }
    CHECK(given.budget->waiters() <= 130);
}

TEST_CASE("many threads never hold more than the budget", "[net][response_budget]") {
    constexpr int kThreads = 4;
    const Fixture given;
    std::atomic<bool> over = false;
    std::atomic<int> written = 0;
    std::atomic<int> refused = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 100; ++i) {
                const auto answer = given.answer();
                const auto done = write(*answer, std::string(100'000, 'a'), 64);
                ++(done ? written : refused);
                over = over || given.budget->held_bytes() > kBudget;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK_FALSE(over);
    CHECK(written > 0);
    CHECK(written + refused == kThreads * 100);
    CHECK(given.budget->held_bytes() == 0);
}

}  // namespace cairn::server::net
