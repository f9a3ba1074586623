//! What crosses the wire between conductor and agent: types and declarations, no I/O.
