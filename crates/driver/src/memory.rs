//! How the C library's allocator gives memory back to the kernel.

/// Has each large piece of memory given back to the kernel as soon as it is freed, mallopt(3). To be called once,
/// before the first thread starts.
///
/// By itself, glibc raises what it calls large with each large piece that is freed, up to 32 MiB. Then answers of
/// some megabytes, for readers that are slow, come from a heap that does not shrink any more. The data plane asks
/// for no memory per chunk, so it pays nothing for this. Allocators of other C libraries have a fixed limit, and
/// are left as they are.
pub fn give_back_large_memory() {
    #[cfg(target_env = "gnu")]
    {
        // An allocator in the place of glibc's, such as that of a sanitizer, refuses it and is left as it is.
        // SAFETY: it changes a number inside of the allocator, and no other thread runs yet.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
    }
}

/// What is large: what glibc begins with.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;
