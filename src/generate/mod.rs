//! Deterministic synthetic access networks on real backbones.
