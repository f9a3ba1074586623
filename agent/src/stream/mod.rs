//! Images on their way from a server to whoever writes them: readers in a stack.
//!
//! From the bottom: `oci` (where a registry has an image), `fetch` (resume, retries), `hashed` (digest of what was downloaded), `decompress`, `format` (what it
//! is and whether that may be written), `qcow2` (which cluster goes where), and `pour`, which stacks them and hands
//! bytes with their place on the disk to a [`pour::Sink`]. Nothing here knows what a disk is.

pub mod checksum;
pub mod client;
pub mod decompress;
pub mod error;
pub mod fetch;
pub mod format;
pub mod get;
pub mod hashed;
mod metered;
pub mod oci;
#[cfg(test)]
mod oracle;
pub mod origin;
pub mod pour;
pub mod qcow2;
pub mod range;
pub mod request;
pub mod retry;
pub mod spool;
#[cfg(test)]
pub mod test_server;
pub mod ticker;
