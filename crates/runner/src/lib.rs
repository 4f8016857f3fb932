//! Plans a customer's run and carries it out.
