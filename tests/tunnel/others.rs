//! Programs on hashicorp/yamux at the other end, in both roles.
