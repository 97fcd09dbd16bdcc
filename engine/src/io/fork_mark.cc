/// @file
/// Making the page that a fork wipes.
#include "io/fork_mark.h"

#include <cerrno>
#include <utility>

#include <sys/mman.h>

#include "io/pages.h"

namespace vectolith::engine {

Result<std::unique_ptr<ForkMark>> ForkMark::make() {
  VECTOLITH_TRY_ASSIGN(auto page, AnonymousPages::make(page_bytes()));
  if (::madvise(page->bytes().data(), page->bytes().size(), MADV_WIPEONFORK) != 0) {
    return std::unexpected(
        Error(ErrorCode::kUnsupported, "the kernel cannot wipe a page in forked children; Linux 4.14 can")
            .with_errno(errno));
  }
  return std::make_unique<ForkMark>(std::move(page));
}

ForkMark::ForkMark(std::unique_ptr<Pages> page) noexcept
    : page_(std::move(page)), word_(new(page_->bytes().data()) std::atomic<std::uint32_t>(1)) {}

}  // namespace vectolith::engine
