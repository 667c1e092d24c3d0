//! Multicall3: several calls in one transaction.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    /// A call of a bundle; with `allowFailure` its revert does not undo the others.
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    /// What became of one call of a bundle.
    struct CallResult {
        bool success;
        bytes returnData;
    }

    /// Bundles calls of one sender into one transaction.
    #[sol(rpc)]
    interface IMulticall3 {
        function aggregate3(Call3[] calldata calls) external payable returns (CallResult[] memory returnData);
    }
}
