//! The stake registry ("governance staking escrow") and the registry of rollups.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    /// Who is staked for which rollup, now and at any earlier time.
    #[sol(rpc)]
    interface IGse {
        function ACTIVATION_THRESHOLD() external view returns (uint256);
        function addRollup(address _rollup) external;
        function isRollupRegistered(address _instance) external view returns (bool);
        function isRegistered(address _instance, address _attester) external view returns (bool);
        function getLatestRollup() external view returns (address);
        function getGovernance() external view returns (address);
        function getAttesterCountAtTime(address _instance, uint256 _timestamp) external view returns (uint256);
        function getAttesterFromIndexAtTime(address _instance, uint256 _index, uint256 _timestamp)
            external view returns (address);
        function getAttestersFromIndicesAtTime(address _instance, uint256 _timestamp, uint256[] memory _indices)
            external view returns (address[] memory);
    }

    /// Which rollup is the canonical one.
    #[sol(rpc)]
    interface IRegistry {
        function addRollup(address _rollup) external;
        function getCanonicalRollup() external view returns (address);
        function getGovernance() external view returns (address);
        function owner() external view returns (address);
    }
}
