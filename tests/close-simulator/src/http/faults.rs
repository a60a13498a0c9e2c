//! Faults that a test asks for, per endpoint and share.
