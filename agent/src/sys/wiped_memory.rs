//! The agent's allocator: memory is zeroed before it is given back. After this program comes an installed system, which a
//! restart may hand the same memory; what was a token, a node record or a config drive must not be in it.
//!
//! Whatever its size, because nobody can tell secrets by their size: a config drive may be as large as a pool of image buffers.
//! Image data is lent from pools that are given back once, so that a stream of gibibytes is not zeroed again.
//! Not reached: what lies on stacks and in registers, and what C libraries allocate for themselves (decompressors: image data).

use std::alloc::{GlobalAlloc, Layout, System};
use std::arch::asm;

/// The system's memory, zeroed before it goes back.
#[derive(Debug)]
pub struct WipedMemory;

// SAFETY: every call is handed to `System` with the layout it came with; memory is only written while it is still the caller's.
// `realloc` is the trait's own: a new block, a copy, and `dealloc` of the old one, so that neither a move nor a cut leaves
// anything behind. (The system's own would: it frees the old block as it is, and keeps the tail of one that shrinks.)
unsafe impl GlobalAlloc for WipedMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's and has this many bytes. The assembly is empty; to the compiler it may read the
        // block, so the zeroes are not left out as writes before a `free` otherwise are.
        unsafe {
            block.write_bytes(0, layout.size());
            asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags));
            System.dealloc(block, layout);
        }
    }
}
