// Guest memory: every block of RAM, ROM and video RAM lies in one memfd that is mapped once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace backplane::kernel {

inline constexpr std::uint64_t kPageSize = 4096;

class Ram {
  public:
    struct Block {
        std::string owner, name;
        std::uint64_t offset = 0;  // in the arena, page aligned
        std::uint64_t size = 0;
        bool watched = false;  // somebody asks for its dirty pages
        bool device = false;   // a device that can act by itself has its address
    };

    // Reserves address space only; memory is committed as blocks are made and touched.
    explicit Ram(std::uint64_t capacity = std::uint64_t{80} << 30);
    ~Ram();
    Ram(const Ram&) = delete;
    Ram& operator=(const Ram&) = delete;

    // Returns the block's index, or -1 if the host refuses (the reason is in errno; EEXIST: while staging, the block
    // exists in another size).
    int create(std::string owner, std::string name, std::uint64_t size);

    // A second set of devices is made: create() finds the blocks that exist, and whatever is written to them, through
    // at() as well, is private until end_staging() and then forgotten. `keep`: blocks that were made meanwhile stay.
    void begin_staging();
    void end_staging(bool keep);

    // Gives a block's memory back to the host, after which it is all zero. False if the host cannot.
    bool clear(std::size_t index);
    // Calls with the offset in the block and the bytes of every page that is not all zero, in order. Pages that nobody
    // has touched are not committed by it.
    void visit_pages(std::size_t index,
                     const std::function<void(std::uint64_t offset, const std::uint8_t* page)>& visit) const;
    // Contents were replaced: no page holds cached code, all count as written.
    void replaced();
    const Block& block(std::size_t index) const { return blocks_[index]; }
    std::size_t count() const { return blocks_.size(); }
    void set_device(std::size_t index) { blocks_[index].device = true; }
    bool is_device_memory(std::uint64_t offset) const {
        for (const Block& b : blocks_)
            if (b.device && offset >= b.offset && offset < b.offset + b.size) return true;
        return false;
    }
    void watch(std::size_t index) { blocks_[index].watched = true; }

    std::uint64_t used() const { return used_; }
    std::uint8_t* at(std::uint64_t offset) const { return base_ + offset; }
    std::uint8_t* code_flag(std::uint64_t offset) const { return code_flags_ + offset / kPageSize; }
    std::uint8_t* dirty_flag(std::uint64_t offset) const { return dirty_flags_ + offset / kPageSize; }

  private:
    int fd_ = -1;
    std::uint64_t capacity_;
    std::uint64_t used_ = 0;
    std::uint8_t* base_ = nullptr;
    std::uint8_t* code_flags_ = nullptr;
    std::uint8_t* dirty_flags_ = nullptr;
    std::vector<Block> blocks_;

    bool staging_ = false;
    std::uint64_t staged_ = 0;  // bytes that existed before
    std::vector<bool> taken_;   // of the blocks that existed before: found by create()
};

}  // namespace backplane::kernel
