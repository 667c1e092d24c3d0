//! The inbox: messages from L1 to the rollup.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    /// How far the inbox has come; `inProgress` is the checkpoint whose tree is being filled.
    struct InboxState {
        bytes16 rollingHash;
        uint64 totalMessagesInserted;
        uint64 inProgress;
    }

    /// Messages from L1 to the rollup.
    #[sol(rpc)]
    interface IInbox {
        event MessageSent(uint256 indexed checkpointNumber, uint256 index, bytes32 indexed hash, bytes16 rollingHash);

        function getRoot(uint256 _checkpointNumber) external view returns (bytes32);
        function getState() external view returns (InboxState memory);
        function getInProgress() external view returns (uint64);
        function getTotalMessagesInserted() external view returns (uint64);
    }
}
