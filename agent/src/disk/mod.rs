//! Every rule about not losing data: which disk, may it be touched, how it is erased, how it is made to boot.
//!
//! `facts` looks, `choose` decides on what was seen, `guard` lets through or refuses; only then the others act.

pub mod choose;
pub mod erase;
pub mod error;
pub mod facts;
pub mod guard;
pub mod method;
pub mod overwrite;
pub mod protect;
pub mod signature;
pub mod verify;
pub mod wipe;
