//! How devices are opened, and what the kernel is told of partitions.

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only; works beside other users of the device.
    Read,
    /// Reading only, but refused (`EBUSY`) as with [`Access::Exclusive`]: a question whether anybody uses the device.
    Ask,
    /// Reading and writing, with `O_EXCL`: the kernel refuses (`EBUSY`) while the device or one of its partitions is
    /// mounted, in a RAID, under device mapper, swap, or so opened by another, in whatever mount namespace.
    Exclusive,
    /// Reading and writing beside other users. Only for the partition table and the boot code of a disk that holds a
    /// RAID, which the kernel lets nobody open alone.
    Shared,
}

/// What the kernel is told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionNews {
    /// It is there: byte offset and length.
    New(u64, u64),
    /// It is gone.
    Gone,
}
