//! Tests of what is removed.
