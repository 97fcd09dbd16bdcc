/// @file
/// Client of the control socket: one request at a time to the process that has the store open.
#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/control.h>
#include <vectolith/format/file_name.h>

#include "control/control_channel.h"
#include "control/protocol.h"
#include "control/report_codec.h"
#include "io/environment.h"
#include "no_memory.h"
#include "verify/read_pacer.h"
#include "verify/scrub.h"

namespace vectolith {

using engine::ControlFrame;
using engine::ControlHeader;
using engine::ControlRow;
using engine::ControlVerb;

namespace {

constexpr std::uint64_t kScrubPieceBytesMin = std::uint64_t{1} << 20,
                        kScrubPieceBytesMax = std::uint64_t{64} << 20;

struct Answer {
  ControlVerb verb{};
  std::vector<std::byte> payload;
};

/// The store is not damaged because an answer was: kCorruption is kept for the store's own bytes.
Error bad_answer(const Error& error) {
  if (error.code() != ErrorCode::kCorruption) return error;
  return Error(ErrorCode::kIo, "the answer breaks the control protocol").with_found(error.to_string());
}

template <class T>
Result<T> as_answer(Result<T> decoded) {
  if (!decoded.has_value()) return std::unexpected(bad_answer(decoded.error()));
  return decoded;
}

template <class Request>
ControlFrame request_frame(ControlVerb verb, const Request& request) {
  ControlFrame frame(verb);
  engine::encode_control(frame.payload(), request);
  return frame;
}

/// Hands the rows of a scan to the caller until it wants no more.
class ScanVisit {
 public:
  ScanVisit(std::string_view family, const std::function<bool(const RemoteRow&)>& visit) : visit_(visit) {
    row_.family = family;
  }
  [[nodiscard]] bool wants_more() const noexcept { return wants_more_; }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }

  void deliver(std::span<const ControlRow> batch) {
    for (const auto& row : batch) {
      if (!wants_more_) return;
      row_.key = row.key;
      row_.sequence = row.sequence;
      row_.created_at_s = row.created_at_s;
      row_.vector.assign(row.vector.begin(), row.vector.end());
      ++rows_;
      call();
    }
  }
  [[nodiscard]] Result<void> outcome() const {
    if (threw_) return fail(ErrorCode::kInvalidArgument, "the visitor of a control scan threw");
    return {};
  }

 private:
  /// The visitor is a caller's code: what it throws becomes an error.
  void call() noexcept {
    try {
      wants_more_ = visit_(row_);
    } catch (...) {
      wants_more_ = false;
      threw_ = true;
    }
  }

  const std::function<bool(const RemoteRow&)>& visit_;
  RemoteRow row_;
  std::uint64_t rows_ = 0;
  bool wants_more_ = true;
  bool threw_ = false;
};

}  // namespace

struct ControlClient::State {
  std::unique_ptr<engine::Environment> environment;
  std::unique_ptr<engine::Directory> directory;
  std::unique_ptr<engine::Connection> connection;
  std::uint32_t request = 0;    ///< Number of the latest request.
  bool scanning = false;        ///< A scan owns the connection while its visitor runs.
  std::optional<Error> broken;  ///< Why the connection can carry no more requests.

  /// Sends a request of its own number. Errors: kBusy from within a scan's visitor; as `send`.
  Result<void> begin(ControlFrame frame);
  /// Sends a request and returns the payload of its answer.
  Result<std::vector<std::byte>> exchange(ControlFrame frame, ControlVerb expected);
  /// Sends the request of a scan and hands its rows to `visit`.
  Result<void> scan(ControlFrame frame, ScanVisit& visit);

 private:
  Result<void> receive_scan(ScanVisit& visit);
  Result<void> send(ControlFrame frame);
  Result<ControlHeader> receive_header();
  /// The next frame of the owner; an error that the owner sent is an error here.
  Result<Answer> receive() noexcept;
  Result<Answer> receive_frame();
  Result<void> end_scan(const Answer& answer, const ScanVisit& visit);
  std::unexpected<Error> break_with(const Error& error);
};

Result<void> ControlClient::State::begin(ControlFrame frame) {
  if (scanning) return fail(ErrorCode::kBusy, "a scan runs on this control client; make another one");
  if (++request == 0) ++request;  // 0 is kept for refusals.
  return send(std::move(frame));
}

Result<std::vector<std::byte>> ControlClient::State::exchange(ControlFrame frame, ControlVerb expected) {
  VECTOLITH_TRY(begin(std::move(frame)));
  VECTOLITH_TRY_ASSIGN(auto answer, receive());
  if (answer.verb != expected)
    return break_with(Error(ErrorCode::kIo, "the answer is to another control request"));
  return std::move(answer.payload);
}

Result<void> ControlClient::State::send(ControlFrame frame) {
  if (broken.has_value()) {
    return std::unexpected(Error(ErrorCode::kClosed, "the control connection has ended; connect again")
                               .with_found(broken->to_string()));
  }
  auto sent = engine::write_control_frame(*connection, std::move(frame), request);
  if (sent.has_value() || sent.error().code() == ErrorCode::kLimit) return sent;
  // An owner that refuses a peer says why and hangs up: its reason may lie there to be read.
  const auto reason = receive();
  return break_with(reason.has_value() || broken.has_value() ? sent.error() : reason.error());
}

Result<ControlHeader> ControlClient::State::receive_header() {
  VECTOLITH_TRY_ASSIGN(const auto header,
                       engine::read_control_header(*connection, engine::ControlRole::kClient));
  // Number 0 is an error from before the owner had read a request: it is too busy, or too old.
  const bool refusal = header.request == 0 && header.verb == ControlVerb::kError;
  if (header.request != request && !refusal) {
    return fail(ErrorCode::kIo, "the answer belongs to another control request");
  }
  return header;
}

Result<Answer> ControlClient::State::receive() noexcept {
  try {
    return receive_frame();
  } catch (const std::bad_alloc&) {
    // Not kNoMemory: the owner may have done what it was asked for.
    return break_with(Error(ErrorCode::kIo, "there is no memory for the answer"));
  }
}

Result<Answer> ControlClient::State::receive_frame() {
  const auto header = receive_header();
  if (!header.has_value()) return break_with(header.error());
  auto payload = engine::read_control_payload(*connection, *header);
  if (!payload.has_value()) return break_with(payload.error());
  if (header->verb != ControlVerb::kError) return Answer{header->verb, *std::move(payload)};

  auto error = engine::decode_error(*payload);
  if (!error.has_value()) return break_with(error.error());
  return std::unexpected(*std::move(error));
}

Result<void> ControlClient::State::scan(ControlFrame frame, ScanVisit& visit) {
  VECTOLITH_TRY(begin(std::move(frame)));
  scanning = true;
  Result<void> scanned;
  try {
    scanned = receive_scan(visit);
  } catch (const std::bad_alloc&) {
    scanned = break_with(Error(ErrorCode::kNoMemory));  // Rows that nobody reads any more are under way.
  }
  scanning = false;
  return scanned;
}

Result<void> ControlClient::State::receive_scan(ScanVisit& visit) {
  while (true) {
    const auto answer = receive();
    if (!answer.has_value()) {
      // After the last row that the caller wanted, what became of the others is no error of its scan.
      if (visit.wants_more() || broken.has_value()) return std::unexpected(answer.error());
      return visit.outcome();
    }
    if (answer->verb != ControlVerb::kScanBatch) return end_scan(*answer, visit);
    const auto batch = engine::decode_scan_batch(answer->payload);
    if (!batch.has_value()) return break_with(batch.error());
    // Said before the rows are visited: the owner fills the next batch meanwhile.
    VECTOLITH_TRY(send(ControlFrame(visit.wants_more() ? ControlVerb::kScanMore : ControlVerb::kScanCancel)));
    visit.deliver(*batch);
  }
}

Result<void> ControlClient::State::end_scan(const Answer& answer, const ScanVisit& visit) {
  if (answer.verb != ControlVerb::kScanEnd) {
    return break_with(Error(ErrorCode::kIo, "the answer is to another control request"));
  }
  const auto end = engine::decode_scan_end(answer.payload);
  if (!end.has_value()) return break_with(end.error());
  if (visit.wants_more() && end->rows != visit.rows()) {
    return break_with(Error(ErrorCode::kIo, "rows of a scan are missing")
                          .with_expected(std::to_string(end->rows) + " rows")
                          .with_found(std::to_string(visit.rows()) + " rows"));
  }
  return visit.outcome();
}

std::unexpected<Error> ControlClient::State::break_with(const Error& error) {
  broken = bad_answer(error);
  connection->shutdown();
  return std::unexpected(*broken);
}

ControlClient::ControlClient(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ControlClient::ControlClient(ControlClient&&) noexcept = default;
ControlClient& ControlClient::operator=(ControlClient&&) noexcept = default;
ControlClient::~ControlClient() = default;

Result<ControlClient> ControlClient::connect(const std::string& path) {
  return catch_no_memory([&]() -> Result<ControlClient> {
    auto state = std::make_unique<State>();
    VECTOLITH_TRY_ASSIGN(state->environment, engine::make_environment(engine::BackendChoice::kSync));
    VECTOLITH_TRY_ASSIGN(state->directory, state->environment->open_directory(path, false));
    auto connection = state->environment->connect(*state->directory, format::kControlSocketName);
    if (!connection.has_value() && connection.error().code() == ErrorCode::kNotFound) {
      return std::unexpected(
          Error(ErrorCode::kNotFound,
                "no process serves the control socket of this store: its owner must set Options::control")
              .with_file(path + "/" + std::string(format::kControlSocketName)));
    }
    VECTOLITH_TRY_ASSIGN(state->connection, std::move(connection));
    VECTOLITH_TRY_ASSIGN(const auto hello,
                         state->exchange(ControlFrame(ControlVerb::kHello), ControlVerb::kHelloAnswer));
    VECTOLITH_TRY(as_answer(engine::decode_empty(hello)));
    return ControlClient(std::move(state));
  });
}

Result<StoreStats> ControlClient::stats() {
  return catch_no_memory([&]() -> Result<StoreStats> {
    VECTOLITH_TRY_ASSIGN(const auto answer,
                         state_->exchange(ControlFrame(ControlVerb::kStats), ControlVerb::kStatsAnswer));
    return as_answer(engine::decode_stats_answer(answer));
  });
}

Result<std::vector<FamilyInfo>> ControlClient::families() {
  return catch_no_memory([&]() -> Result<std::vector<FamilyInfo>> {
    VECTOLITH_TRY_ASSIGN(const auto answer, state_->exchange(ControlFrame(ControlVerb::kFamilies),
                                                             ControlVerb::kFamiliesAnswer));
    return as_answer(engine::decode_families_answer(answer));
  });
}

Result<std::optional<RemoteRow>> ControlClient::get(std::string_view family, const Key& key) {
  return catch_no_memory([&]() -> Result<std::optional<RemoteRow>> {
    const engine::GetRequest request{std::string(family), key};
    VECTOLITH_TRY_ASSIGN(const auto answer, state_->exchange(request_frame(ControlVerb::kGet, request),
                                                             ControlVerb::kGetAnswer));
    VECTOLITH_TRY_ASSIGN(const auto row, as_answer(engine::decode_get_answer(answer)));
    if (!row.has_value()) return std::optional<RemoteRow>();
    return RemoteRow{std::string(family), row->key, row->sequence, row->created_at_s,
                     std::vector<std::byte>(row->vector.begin(), row->vector.end())};
  });
}

Result<PutResult> ControlClient::put(std::string_view family, const Key& key,
                                     std::span<const std::byte> vector, Durability durability, bool replace) {
  return catch_no_memory([&]() -> Result<PutResult> {
    const engine::PutRequest request{std::string(family), key, durability, replace, vector};
    VECTOLITH_TRY_ASSIGN(const auto answer, state_->exchange(request_frame(ControlVerb::kPut, request),
                                                             ControlVerb::kPutAnswer));
    return as_answer(engine::decode_put_answer(answer));
  });
}

Result<EraseResult> ControlClient::erase(std::string_view family, const Key& key, Durability durability) {
  return catch_no_memory([&]() -> Result<EraseResult> {
    const engine::EraseRequest request{std::string(family), key, durability};
    VECTOLITH_TRY_ASSIGN(const auto answer, state_->exchange(request_frame(ControlVerb::kErase, request),
                                                             ControlVerb::kEraseAnswer));
    return as_answer(engine::decode_erase_answer(answer));
  });
}

Result<void> ControlClient::sync() {
  return catch_no_memory([&]() -> Result<void> {
    VECTOLITH_TRY_ASSIGN(const auto answer,
                         state_->exchange(ControlFrame(ControlVerb::kSync), ControlVerb::kSyncAnswer));
    return as_answer(engine::decode_empty(answer));
  });
}

Result<void> ControlClient::scan(std::string_view family,
                                 const std::function<bool(const RemoteRow&)>& visit) {
  return catch_no_memory([&] {
    const engine::ScanRequest request{std::string(family)};
    ScanVisit rows(family, visit);
    return state_->scan(request_frame(ControlVerb::kScan, request), rows);
  });
}

Result<FsckReport> ControlClient::fsck() {
  return catch_no_memory([&]() -> Result<FsckReport> {
    VECTOLITH_TRY_ASSIGN(const auto answer,
                         state_->exchange(ControlFrame(ControlVerb::kFsck), ControlVerb::kFsckAnswer));
    return as_answer(engine::decode_fsck_answer(answer));
  });
}

Result<ScrubReport> ControlClient::scrub(const ScrubOptions& options) {
  return catch_no_memory([&]() -> Result<ScrubReport> {
    engine::ReadPacer pacer(*state_->environment, options.bytes_per_s, options.should_stop);
    const std::uint64_t at_once =
        options.bytes_per_s == 0 ? kScrubPieceBytesMax
                                 : std::clamp(options.bytes_per_s, kScrubPieceBytesMin, kScrubPieceBytesMax);
    ScrubReport whole;
    whole.next = options.from;
    const auto wants_more = [&] {
      return !whole.is_complete && (options.bytes_max == 0 || whole.found.bytes < options.bytes_max) &&
             !(options.should_stop && options.should_stop());
    };
    do {
      const std::uint64_t left = options.bytes_max == 0 ? at_once : options.bytes_max - whole.found.bytes;
      const engine::ScrubRequest request{whole.next, std::min(at_once, left)};
      VECTOLITH_TRY_ASSIGN(const auto answer, state_->exchange(request_frame(ControlVerb::kScrub, request),
                                                               ControlVerb::kScrubAnswer));
      VECTOLITH_TRY_ASSIGN(auto piece, as_answer(engine::decode_scrub_answer(answer)));
      whole.next = piece.next;
      whole.is_complete = piece.is_complete;
      pacer.spend(piece.found.bytes);
      engine::append(whole.found, std::move(piece.found));
    } while (wants_more());
    return whole;
  });
}

}  // namespace vectolith
