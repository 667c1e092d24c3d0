//! The L1 rollup's encodings: headers, digests, packing, committee sampling, blobs, contract bindings.
