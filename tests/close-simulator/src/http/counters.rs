//! Counts of requests by endpoint, key and answer.
