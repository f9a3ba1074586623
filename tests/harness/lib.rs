//! Sites for stories.
