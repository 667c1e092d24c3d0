//! The escape hatch: epochs in which a bonded candidate proposes alone, without a committee.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    /// Who may propose alone, and when.
    #[sol(rpc)]
    interface IEscapeHatch {
        function isHatchOpen(uint256 _epoch) external view returns (bool isOpen, address proposer);
        function joinCandidateSet() external;
        function selectCandidates() external;
        function getCurrentHatch() external view returns (uint256);
        function getFirstEpoch(uint256 _hatch) external view returns (uint256);
        function getBondSize() external view returns (uint96);
    }
}
