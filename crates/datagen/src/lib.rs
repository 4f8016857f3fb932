//! Deterministic customers at any scale.
