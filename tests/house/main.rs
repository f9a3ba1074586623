//! House rules as tests: floors, forbidden imports, words in files, the top level, the printed diagram.
//!
//! Each failure names the file, the line and the rule; `docs/architecture.md` says why the rules are there.

mod diagram;
mod floors;
mod imports;
mod lanes;
mod policy;
mod printed;
mod sources;
mod text;
mod top_level;
