//! Duties recorded durably before they are signed, keystores, slashing protection.
