//! The contract, as generated from `proto/`. The messages that carry secrets print without them.

/// `countersign.v1`.
#[expect(clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("countersign.v1");
    include!(concat!(env!("OUT_DIR"), "/redacted.rs"));
}
