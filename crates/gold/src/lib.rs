//! Dimension, fact and history builders for a star schema with fiscal years.
