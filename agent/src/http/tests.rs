//! Requests against a real server on loopback.
