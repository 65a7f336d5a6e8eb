//! Clients that are slow, many or broken.
